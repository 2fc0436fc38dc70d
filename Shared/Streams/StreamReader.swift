package import AsyncHTTPClient
package import Models
import NIOCore
import NIOHTTP1
package import Postgres
package import Sealing

/// A way to read streams: over HTTP from their publisher, or straight from the database in tests.
package protocol StreamReader: Sendable {
    /// Records after the positions, ascending per shard; waits up to `wait` for the first.
    func read(
        _ stream: StreamDefinition, after positions: [Shard: Int64], limit: Int, wait: Duration
    ) async throws -> [StreamRecord]
    /// The last offset of each shard that has any.
    func heads(_ stream: StreamDefinition) async throws -> [Shard: Int64]
}

/// Reads streams from their publishers over HTTP.
package struct HTTPStreamReader: StreamReader {
    /// Where a service answers, e.g. `http://127.0.0.1:8102`.
    package typealias Directory = @Sendable (ServiceName) -> String
    /// The `Authorization` header for a call to a service.
    package typealias Authorisation = @Sendable (ServiceName) throws -> String

    private let client: HTTPClient
    private let directory: Directory
    private let authorisation: Authorisation
    /// A page is at most `limit` records of at most 512 KB; this bounds what a broken publisher can make us hold.
    private let maximumPageBytes = 256 << 20

    package init(
        client: HTTPClient, directory: @escaping Directory, authorisation: @escaping Authorisation
    ) {
        self.client = client
        self.directory = directory
        self.authorisation = authorisation
    }

    package func read(
        _ stream: StreamDefinition, after positions: [Shard: Int64], limit: Int, wait: Duration
    ) async throws -> [StreamRecord] {
        let after = positions.sorted { $0.key < $1.key }
            .map { "\($0.key.number):\($0.value)" }.joined(separator: ",")
        let milliseconds = wait.milliseconds
        let bytes = try await get(
            stream, query: "?after=\(after)&limit=\(limit)&wait=\(milliseconds / 1_000)",
            timeout: .milliseconds(milliseconds + 10_000))
        return try bytes.split(separator: 0x0A).map { line in
            try StreamRecord(json: Self.parse(line, stream: stream), stream: stream)
        }
    }

    package func heads(_ stream: StreamDefinition) async throws -> [Shard: Int64] {
        let json = try Self.parse(
            try await get(stream, query: "/heads", timeout: .seconds(5))[...], stream: stream)
        guard let items = json["heads"]?.array else {
            throw StreamError.badPage(stream: stream.name, reason: "heads are missing")
        }
        return try Dictionary(
            items.map { item in
                guard let shard = item["shard"]?.integer.flatMap({ Shard(number: $0) }),
                    let offset = item["offset"]?.integer
                else { throw StreamError.badPage(stream: stream.name, reason: "a head is malformed") }
                return (shard, offset)
            }, uniquingKeysWith: max)
    }

    private func get(_ stream: StreamDefinition, query: String, timeout: TimeAmount) async throws -> [UInt8] {
        var request = HTTPClientRequest(
            url: "\(directory(stream.publisher))/v1/streams/\(stream.name)\(query)")
        request.headers.add(name: "Authorization", value: try authorisation(stream.publisher))
        let response = try await client.execute(request, timeout: timeout)
        let body = try await response.body.collect(upTo: maximumPageBytes)
        guard response.status == .ok else {
            throw StreamError.unavailable(stream: stream.name, status: Int(response.status.code))
        }
        return Array(body.readableBytesView)
    }

    private static func parse(_ bytes: ArraySlice<UInt8>, stream: StreamDefinition) throws -> JSON {
        do { return try JSONParser.parse(bytes) } catch {
            throw StreamError.badPage(stream: stream.name, reason: error.message)
        }
    }
}

extension StreamRecord {
    /// One NDJSON line of a feed.
    init(json: JSON, stream: StreamDefinition) throws(StreamError) {
        guard let shard = json["shard"]?.integer.flatMap({ Shard(number: $0) }),
            let offset = json["offset"]?.integer, let key = json["key"]?.string,
            let recordedAt = json["recordedAt"]?.string.flatMap({ Instant(rfc3339: $0) }),
            let body = json["body"]
        else {
            throw .badPage(stream: stream.name, reason: "a record lacks shard, offset, key, time or body")
        }
        self.init(
            shard: shard, offset: offset, key: key, recordedAt: recordedAt,
            traceparent: json["traceparent"]?.string, body: body)
    }
}

/// Reads streams straight from the database that holds them; for tests and tools that have the rights.
package struct DatabaseStreamReader: StreamReader {
    private let pool: PostgresPool
    private let hub: WakeHub?
    private let vault: (@Sendable (ServiceName) -> Vault)?

    /// Without a hub, `wait` is not honoured: a read answers at once. `vault` is that of each publisher.
    package init(
        pool: PostgresPool, hub: WakeHub? = nil, vault: (@Sendable (ServiceName) -> Vault)? = nil
    ) {
        self.vault = vault
        self.pool = pool
        self.hub = hub
    }

    package func read(
        _ stream: StreamDefinition, after positions: [Shard: Int64], limit: Int, wait: Duration
    ) async throws -> [StreamRecord] {
        let ticket = await hub?.ticket([stream.channel])
        let records = try await page(stream, after: positions, limit: limit)
        guard records.isEmpty, let hub, let ticket else { return records }
        await hub.wait(ticket, upTo: wait)
        return try await page(stream, after: positions, limit: limit)
    }

    package func heads(_ stream: StreamDefinition) async throws -> [Shard: Int64] {
        try await StreamHeads.read(stream, pool: pool)
    }

    private func page(
        _ stream: StreamDefinition, after positions: [Shard: Int64], limit: Int
    ) async throws -> [StreamRecord] {
        guard !positions.isEmpty else { return [] }
        let rows = try await StreamPageQuery.rows(
            stream, after: positions.sorted { $0.key < $1.key }, perShard: max(1, limit / positions.count),
            pool: pool)
        let bodies = try await StreamBodies.open(
            rows, of: stream, vault: vault?(stream.publisher), in: pool)
        return try zip(rows, bodies).map { row, body in
            StreamRecord(
                shard: try row.get("shard", as: Shard.self), offset: try row.get("offset", as: Int64.self),
                key: try row.get("key", as: String.self),
                recordedAt: try row.get("recorded_at", as: Instant.self),
                traceparent: try row.get("traceparent", as: String?.self),
                body: try JSONParser.parse(Array(body.utf8)[...]))
        }
    }
}

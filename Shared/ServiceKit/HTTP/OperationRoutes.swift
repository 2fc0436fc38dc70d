import HTTPTypes
import Models
import Postgres
import Sealing
import ServiceLifecycle
import Streams

/// The routes that every service has: health, metrics, its contract, and the streams it publishes.
enum OperationRoutes {
    static func add(
        to router: ServiceRouter, definition: ServiceDefinition, context: ServiceContext
    ) throws {
        AuditLogRoutes(
            logs: definition.auditLogs, pool: context.pool, clock: context.clock,
            signer: try ChainSigner(tokens: context.tokens)
        ).add(to: router)
        router.get("/livez", access: .open) { _ in .json(["status": "live"]) }
        router.get("/readyz", access: .open) { _ in
            let findings = await Readiness.findings(pool: context.pool)
            if findings.isEmpty { return .json(["status": "ready"]) }
            throw Problem(
                status: .serviceUnavailable, type: "not-ready", title: "The service is not ready",
                detail: findings.joined(separator: "; "), headers: [.retryAfter: "1"])
        }
        router.get("/metrics", access: .open) { _ in
            .bytes(
                Array(PrometheusRegistry.shared.exposition().utf8),
                contentType: "text/plain; version=0.0.4; charset=utf-8")
        }
        router.get("/openapi.yaml", access: .open) { _ in
            .bytes(definition.openAPI, contentType: "application/yaml")
        }
        if !definition.published.isEmpty { addStreams(to: router, definition: definition, context: context) }
    }

    private static func addStreams(
        to router: ServiceRouter, definition: ServiceDefinition, context: ServiceContext
    ) {
        let feeds = Dictionary(
            definition.published.map {
                (
                    $0.name,
                    StreamFeed(
                        $0, pool: context.pool, hub: context.hub, vault: context.vault, logger: context.logger
                    )
                )
            },
            uniquingKeysWith: { first, _ in first })
        @Sendable func feed(_ request: ServiceRequest) throws -> StreamFeed {
            guard let feed = feeds[try request.path("stream")] else {
                throw Problem.notFound(
                    "this service publishes: \(feeds.keys.sorted().joined(separator: ", "))",
                    type: "unknown-stream")
            }
            return feed
        }
        router.get("/v1/streams/{stream}", scope: .streamsRead, touches: .people) { request in
            let feed = try feed(request)
            return try await page(of: feed, after: try positions(request), request: request)
        }
        router.get("/v1/streams/{stream}/heads", scope: .streamsRead, touches: .definitions) { request in
            let heads = try await feed(request).heads().sorted { $0.key < $1.key }
            return .json([
                "heads": .array(
                    heads.map { ["shard": .integer(Int64($0.key.number)), "offset": .integer($0.value)] })
            ])
        }
        router.get("/v1/streams/{stream}/{shard}", scope: .streamsRead, touches: .people) { request in
            let feed = try feed(request)
            guard let shard = Int16(try request.path("shard")).flatMap({ Shard(number: $0) }) else {
                throw Problem.badRequest("`shard` must be a number from 0 to \(Shard.count - 1)")
            }
            guard let after = Int64(try request.query("after") ?? "0"), after >= 0 else {
                throw Problem.badRequest("`after` must be an offset: 0, or the last one you have")
            }
            return try await page(of: feed, after: [shard: after], request: request)
        }
    }

    private static func page(
        of feed: StreamFeed, after positions: [Shard: Int64], request: ServiceRequest
    ) async throws -> ServiceResponse {
        let limit = try request.query("limit", in: 1...10_000, default: 500)
        let wait = try request.query("wait", in: 0...30, default: 0)
        // A long poll must not hold up the end of the process.
        return .ndjson(
            try await cancelWhenGracefulShutdown {
                try await feed.lines(after: positions, limit: limit, wait: .seconds(wait))
            })
    }

    /// `after=0:17,5:0`: the position of each shard that is wanted; all from the start when absent.
    private static func positions(_ request: ServiceRequest) throws -> [Shard: Int64] {
        guard let text = try request.query("after", maxBytes: 4_096) else {
            return Dictionary(uniqueKeysWithValues: Shard.all.map { ($0, 0) })
        }
        let problem = Problem.badRequest(
            "`after` must be a list of shard:offset with shards from 0 to \(Shard.count - 1), such as 0:17,1:0"
        )
        var positions: [Shard: Int64] = [:]
        for part in text.split(separator: ",") {
            let pair = part.split(separator: ":")
            guard pair.count == 2, let shard = Int16(pair[0]).flatMap({ Shard(number: $0) }),
                let offset = Int64(pair[1]), offset >= 0
            else { throw problem }
            positions[shard] = offset
        }
        guard !positions.isEmpty else { throw problem }
        return positions
    }
}

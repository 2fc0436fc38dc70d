import Logging
package import Models
package import Postgres
import Streams

/// What a service does about a privacy request, each in the transaction it is given.
package struct PrivacyHandler: Sendable {
    package typealias Act = @Sendable (PrivacyRequest, PostgresTransaction) async throws -> JSON
    /// The lists that may be long, page by page.
    package typealias Pages =
        @Sendable (PrivacyRequest, PostgresTransaction, PrivacyPages) async throws -> Void
    package typealias Failure = @Sendable (PrivacyRequest, PostgresTransaction) async throws -> Void

    /// Everything the service holds about the person, for a request of access (GDPR article 15), but for `pages`.
    package let access: Act
    package let pages: Pages?
    /// Erases it and says how much of what was erased (article 17).
    package let erase: Act
    /// What follows, beside the report, when the person can't be erased.
    package let failed: Failure?

    package init(
        access: @escaping Act, pages: Pages? = nil, erase: @escaping Act, failed: Failure? = nil
    ) {
        self.access = access
        self.pages = pages
        self.erase = erase
        self.failed = failed
    }
}

/// Carries out privacy requests and reports to consent, which waits for every service.
///
/// A request that a service can't carry out is reported as failed, in the transaction that puts it into quarantine:
/// whoever asked must hear that a copy is left, not wait for ever.
enum PrivacyWorker {
    /// What consent takes in one report; see its OpenAPI file.
    private static let reportLimit = 30 << 20

    static func consumer(_ handler: PrivacyHandler, context: ServiceContext) -> StreamConsumer {
        let worker = "\(context.name.rawValue)-privacy"
        return context.consumer(name: worker, of: .privacyRequests, batch: 1) { batch, transaction in
            for record in batch.records {
                let request = try PrivacyRequest(json: record.body)
                guard request.asks(context.name) else { continue }
                let result: JSON
                var parts = 0
                switch request.type {
                case .access:
                    let found = try await found(
                        handler, request, at: batch.now, context: context, in: transaction)
                    result = found.report
                    parts = found.parts
                case .erasure:
                    let quarantined = try await eraseQuarantine(
                        of: request.profileIDs, schema: context.name.schema, in: transaction)
                    result = try await handler.erase(request, transaction)
                        .adding("streamQuarantine", .integer(Int64(quarantined)))
                }
                guard result.compact.utf8.count <= reportLimit else {
                    throw PrivacyFailure("what was found is larger than a report may be (30 MB)")
                }
                var fields: [String: JSON] = ["status": "completed", "result": result]
                if parts > 0 { fields["parts"] = .integer(Int64(parts)) }
                try await report(
                    fields, on: request, at: batch.now, context: context,
                    in: transaction)
            }
        } giveUp: { record, error, now, transaction in
            guard let request = try? PrivacyRequest(json: record.body) else { return }
            if request.type == .erasure { try await handler.failed?(request, transaction) }
            // The words of an error may repeat what a row holds; its type does not.
            let reason = (error as? PrivacyFailure)?.description ?? "\(type(of: error))"
            try await report(
                [
                    "status": "failed",
                    "error": .string("\(reason); the record is in the quarantine of \(worker)"),
                ], on: request, at: now, context: context, in: transaction)
        }
    }

    /// What is found, with how many parts of it go to consent beside the report.
    private static func found(
        _ handler: PrivacyHandler, _ request: PrivacyRequest, at now: Instant, context: ServiceContext,
        in transaction: PostgresTransaction
    ) async throws -> (report: JSON, parts: Int) {
        let path = "/v1/privacy-requests/\(request.id)/results/\(context.name.rawValue)/parts"
        let pages = PrivacyPages(limit: PrivacyPages.partBytes) { part, member, items in
            try await context.outbox.enqueue(
                target: .consent, method: "PUT", path: "\(path)/\(part)",
                body: ["member": .string(member), "items": .array(items)], in: transaction, at: now)
        }
        let found = try await handler.access(request, transaction)
            .adding(
                "streamQuarantine",
                try await quarantine(of: request.profileIDs, schema: context.name.schema, in: transaction))
        let rest = try await split(found, into: pages)
        try await handler.pages?(request, transaction, pages)
        let (members, parts) = try await pages.finish()
        return (rest.adding(members), parts)
    }

    /// What is left of a large report when its lists go with what is found page by page: whichever list it is that is long, of
    /// somebody whom a company has known for decades, it fits.
    static func split(_ found: JSON, into pages: PrivacyPages) async throws -> JSON {
        guard case .object(var members) = found, found.compact.utf8.count > PrivacyPages.partBytes else {
            return found
        }
        for (name, value) in members.sorted(by: { $0.key < $1.key }) {
            guard let items = value.array else { continue }
            members[name] = nil
            try await pages.take(name, items)
        }
        return .object(members)
    }

    /// Which records about a person could not be processed; what they say stands where they come from.
    private static func quarantine(
        of profiles: [ProfileID], schema: String, in transaction: PostgresTransaction
    ) async throws -> JSON {
        .array(
            try await transaction.query(
                """
                SELECT consumer, stream, shard, "offset", recorded_at, quarantined_at
                FROM \(unsafe: schema).stream_quarantine
                WHERE key = ANY(\(profiles.map(\.description))::text[])
                    AND stream <> \(StreamDefinition.privacyRequests.name)
                ORDER BY quarantined_at, stream, shard, "offset" LIMIT 10000
                """
            ).map { row in
                [
                    "consumer": .string(try row.get("consumer")), "stream": .string(try row.get("stream")),
                    "shard": .integer(try row.get("shard", as: Int64.self)),
                    "offset": .integer(try row.get("offset")),
                    "recordedAt": .string(try row.get("recorded_at", as: Instant.self).rfc3339),
                    "quarantinedAt": .string(try row.get("quarantined_at", as: Instant.self).rfc3339),
                ]
            })
    }

    /// Deletes records about a person that could not be processed: they are copies like any other.
    private static func eraseQuarantine(
        of profiles: [ProfileID], schema: String, in transaction: PostgresTransaction
    ) async throws -> Int {
        try await transaction.execute(
            """
            DELETE FROM \(unsafe: schema).stream_quarantine
            WHERE key = ANY(\(profiles.map(\.description))::text[]) AND stream <> \(StreamDefinition.privacyRequests.name)
            """)
    }

    private static func report(
        _ fields: [String: JSON], on request: PrivacyRequest, at now: Instant, context: ServiceContext,
        in transaction: PostgresTransaction
    ) async throws {
        var body = fields
        body["completedAt"] = .string(now.rfc3339)
        try await context.outbox.enqueue(
            target: .consent, method: "PUT",
            path: "/v1/privacy-requests/\(request.id)/results/\(context.name.rawValue)", body: .object(body),
            in: transaction, at: now)
    }
}

/// Why a service can't carry a privacy request out, in words that hold nothing personal.
struct PrivacyFailure: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}

extension JSON {
    /// An object with one member more; anything else unchanged.
    fileprivate func adding(_ name: String, _ value: JSON) -> JSON {
        guard var members = object else { return self }
        members[name] = value
        return .object(members)
    }
}

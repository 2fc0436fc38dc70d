import Logging
package import Models
package import Postgres
import Streams

/// What a service does about a privacy request, each in the transaction it is given.
package struct PrivacyHandler: Sendable {
    package typealias Act = @Sendable (PrivacyRequest, PostgresTransaction) async throws -> JSON
    package typealias Failure = @Sendable (PrivacyRequest, PostgresTransaction) async throws -> Void

    /// Everything the service holds about the person, for a request of access (GDPR article 15).
    package let access: Act
    /// Erases it and says how much of what was erased (article 17).
    package let erase: Act
    /// What follows, beside the report, when the person can't be erased.
    package let failed: Failure?

    package init(access: @escaping Act, erase: @escaping Act, failed: Failure? = nil) {
        self.access = access
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
                switch request.type {
                case .access: result = try await handler.access(request, transaction)
                case .erasure:
                    let quarantined = try await eraseQuarantine(
                        of: request.profileIDs, schema: context.name.schema, in: transaction)
                    result = try await handler.erase(request, transaction)
                        .adding("streamQuarantine", .integer(Int64(quarantined)))
                }
                guard result.compact.utf8.count <= reportLimit else {
                    throw PrivacyFailure("what was found is larger than a report may be (30 MB)")
                }
                try await report(
                    ["status": "completed", "result": result], on: request, at: batch.now, context: context,
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

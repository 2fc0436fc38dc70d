import Logging
package import Models
package import Postgres
import Streams

/// What a service does about a privacy request, each in the transaction it is given.
package struct PrivacyHandler: Sendable {
    package typealias Act = @Sendable (PrivacyRequest, PostgresTransaction) async throws -> JSON

    /// Everything the service holds about the person, for a request of access (GDPR article 15).
    package let access: Act
    /// Erases it and says how much of what was erased (article 17).
    package let erase: Act

    package init(access: @escaping Act, erase: @escaping Act) {
        self.access = access
        self.erase = erase
    }
}

/// Carries out privacy requests and reports to consent, which waits for every service.
enum PrivacyWorker {
    static func consumer(_ handler: PrivacyHandler, context: ServiceContext) -> StreamConsumer {
        context.consumer(name: "\(context.name.rawValue)-privacy", of: .privacyRequests, batch: 1) {
            batch, transaction in
            for record in batch.records {
                let request = try PrivacyRequest(json: record.body)
                let result =
                    switch request.type {
                    case .access: try await handler.access(request, transaction)
                    case .erasure: try await handler.erase(request, transaction)
                    }
                try await context.outbox.enqueue(
                    target: .consent, method: "PUT",
                    path: "/v1/privacy-requests/\(request.id)/results/\(context.name.rawValue)",
                    body: [
                        "status": "completed", "result": result, "completedAt": .string(batch.now.rfc3339),
                    ],
                    in: transaction, at: batch.now)
            }
        }
    }
}

import Logging
import Metrics
import Models
import Postgres

/// Lets go of what audit logs are kept no longer for: the beginnings of chains, and of no chain that does not hold.
struct AuditRetention: Sendable {
    let logs: [AuditLog]
    let signer: ChainSigner
    let logger: Logger

    func tasks(by current: CurrentRetention, at now: Instant) -> [RetentionTask] {
        guard let boundary = current.policy.boundary(of: .audit, now: now) else { return [] }
        return logs.enumerated().map { number, log in
            // A service's own log is the first, and is called like it.
            RetentionTask(.audit, rule: number == 0 ? nil : log.name, before: boundary) { step, transaction in
                try await take(step, of: log, in: transaction)
            }
        }
    }

    private func take(
        _ step: RetentionTask.Step, of log: AuditLog, in transaction: PostgresTransaction
    ) async throws -> RetentionTask.Progress {
        let store = AuditStore(log)
        let anchors = try await store.anchors(in: transaction)
        for shard in try await store.beginning(before: step.boundary, in: transaction) {
            let gone = try await take(step, shard, after: anchors[shard], of: log, in: transaction)
            // The rest of this chain, and the others, in a transaction of their own.
            if gone > 0 { return .init(rows: gone, isDone: false) }
        }
        return .init(rows: 0, isDone: true)
    }

    private func take(
        _ step: RetentionTask.Step, _ shard: Shard, after anchor: AuditAnchor?, of log: AuditLog,
        in transaction: PostgresTransaction
    ) async throws -> Int {
        let store = AuditStore(log)
        let links = try await store.links(of: shard, after: 0, limit: step.limit, in: transaction)
            .prefix { $0.at < step.boundary }
        guard let last = links.last else { return 0 }
        // What was tampered with must not be let go of: it would be gone with what shows it.
        var walk = ChainWalk(
            shard: shard, genesis: anchor?.hash ?? log.genesis(of: shard), anchor: anchor?.position ?? 0,
            digest: AuditLog.sha256)
        for link in links { walk.take(link) }
        guard walk.faults.isEmpty, anchor?.isSigned(by: signer, for: shard, of: log) ?? true else {
            Counter(label: "martlet_audit_faults_total").increment()
            logger.error(
                "a chain of the audit log does not hold, so nothing of it is let go of; see POST /v1/audit-log/verify",
                metadata: ["log": "\(log.name)", "shard": "\(shard.number)"])
            return 0
        }
        let document = try signer.sign(
            document: AuditAnchor.document(of: last, in: log, before: step.boundary, at: step.now))
        return try await store.letGo(upTo: last, document: document.compact, in: transaction)
    }
}

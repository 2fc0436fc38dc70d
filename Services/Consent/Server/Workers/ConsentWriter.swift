import ConsentDomain
import Models
import Postgres
import ServiceKit
import Synchronization

/// Records what calls bring, many of them in one transaction: while one commits, the next ones gather. Nobody is answered
/// before the commit, and each is answered for itself.
final class ConsentWriter: Sendable {
    private typealias Continuation = CheckedContinuation<RecordedDecision?, any Error>

    private struct State {
        var queue: [(decision: NewDecision, continuation: Continuation)] = []
        var isWriting = false
    }

    /// Decisions in one transaction.
    private static let group = 256
    /// More than these don't wait: 503.
    private static let capacity = 10_000

    private let recorder: ConsentRecorder
    private let pool: PostgresPool
    private let clock: ServiceClock
    private let state = Mutex(State())

    init(recorder: ConsentRecorder, pool: PostgresPool, clock: ServiceClock) {
        (self.recorder, self.pool, self.clock) = (recorder, pool, clock)
    }

    /// Returns once it is committed; nil where the profile is not there, or was erased.
    func write(_ decision: NewDecision) async throws -> RecordedDecision? {
        try await withCheckedThrowingContinuation { continuation in
            let (isTaken, starts) = state.withLock { state in
                guard state.queue.count < Self.capacity else { return (false, false) }
                state.queue.append((decision, continuation))
                defer { state.isWriting = true }
                return (true, !state.isWriting)
            }
            if !isTaken {
                continuation.resume(
                    throwing: Problem.unavailable("more comes in than can be recorded; send it again"))
            }
            // Not a part of the request that happens to be the first.
            if starts { Task.detached { await self.writeAll() } }
        }
    }

    private func writeAll() async {
        while true {
            let group = state.withLock { state in
                let group = Array(state.queue.prefix(Self.group))
                state.queue.removeFirst(group.count)
                if group.isEmpty { state.isWriting = false }
                return group
            }
            if group.isEmpty { return }
            await write(group)
        }
    }

    private func write(_ group: [(decision: NewDecision, continuation: Continuation)]) async {
        do {
            let written = try await record(group.map(\.decision))
            for (waiting, written) in zip(group, written) { waiting.continuation.resume(returning: written) }
        } catch let error as PostgresError where group.count > 1 && !error.isTransient {
            // What the database will never take must not fail those who happened to come along with it.
            for waiting in group { await write([waiting]) }
        } catch {
            for waiting in group { waiting.continuation.resume(throwing: error) }
        }
    }

    private func record(_ decisions: [NewDecision]) async throws -> [RecordedDecision?] {
        let now = try await clock.now()
        let (recorded, deeds) = try await pool.transaction { transaction in
            let recorded = try await recorder.record(decisions, at: now, in: transaction)
            let deeds = recorded.compactMap { recorded in
                decisions[recorded.index].auditDuty.map {
                    AuditDuty.Deed($0, status: Self.created, subjects: [recorded.canonicalID])
                }
            }
            try await AuditDuty.append(deeds, at: now, in: transaction)
            return (recorded, deeds)
        }
        AuditDuty.fulfil(deeds)
        var written = [RecordedDecision?](repeating: nil, count: decisions.count)
        for recorded in recorded { written[recorded.index] = recorded }
        return written
    }

    /// What is answered to a decision that was recorded.
    private static let created = 201
}

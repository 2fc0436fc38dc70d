import Clients
import ConsentDomain
import Models
import Postgres
import ProfileStore
import Sealing
import ServiceKit
import Streams

/// Has identity put right what is wrong, and says what came of it.
///
/// Identity is called first and the request completed then: a repetition of the call changes nothing, so whatever is killed
/// in between, it is done once.
struct Rectification: Sendable {
    let identity: IdentityClient
    let pool: PostgresPool

    /// What came of it.
    private enum Outcome {
        case done
        case failed(reason: String)
    }

    /// After how long one is tried again that could not be carried out.
    private static let pause: Duration = .minutes(1)

    /// Carries out what is due; returns how many. One that can't be, because identity is away or has no answer to it, is
    /// tried again later and holds up no other.
    func fire(_ now: Instant, limit: Int, desk: PrivacyDesk) async throws -> Int {
        let due = try await PrivacyStepStore.due(
            PrivacyStepStore.rectification, upTo: now, limit: limit, in: pool)
        for (id, _) in due {
            let outcome: Outcome?
            do { outcome = try await carryOut(id, desk: desk) } catch is CancellationError {
                throw CancellationError()
            } catch {
                try await pool.transaction { transaction in
                    try await PrivacyStepStore.set(
                        [(id, now + Self.pause)], of: PrivacyStepStore.rectification, in: transaction)
                }
                continue
            }
            try await pool.transaction { transaction in
                try await finish(id, outcome, at: now, desk: desk, in: transaction)
            }
        }
        return due.count
    }

    private func carryOut(_ id: PrivacyRequestID, desk: PrivacyDesk) async throws -> Outcome? {
        guard let request = try await PrivacyRequestStore.get(id, in: pool),
            request.lifecycle.state == .inProgress, request.kind == .rectification
        else { return nil }
        guard let corrections = try await desk.detail(of: request) else {
            return .failed(reason: "what was to be put right can't be read any more")
        }
        do {
            try await identity.correct(
                request.profileID, identifiers: corrections["identifiers"]?.array ?? [],
                traits: corrections["traits"]?.object ?? [:])
            return .done
        } catch let error as ClientError where error.status < 500 && error.status != 429 {
            return .failed(reason: error.description)
        } catch let error as ClientError {
            throw RetryLater("\(error)")
        }
    }

    private func finish(
        _ id: PrivacyRequestID, _ outcome: Outcome?, at now: Instant, desk: PrivacyDesk,
        in transaction: PostgresTransaction
    ) async throws {
        var told: [PrivacyDesk.Told] = []
        if var request = try await PrivacyRequestStore.lock(id, in: transaction),
            request.lifecycle.state == .inProgress, let outcome
        {
            request.completedAt = now
            switch outcome {
            case .done:
                try PrivacyDesk.take(.complete, on: &request, at: now)
                request.status = .completed
                // It stands with the person now; a second copy is of no use.
                request.detail = nil
                told.append(.init(request, .completed))
            case .failed(let reason):
                request.status = .failed
                let key = try await desk.vault.days.key(at: now)
                told.append(
                    .init(request, .failed, note: try key.seal(reason, at: PrivacyStepStore.place(of: id))))
            }
            try await PrivacyRequestStore.update(request, in: transaction)
        }
        try await PrivacyStepStore.set(
            [(id, nil)], of: PrivacyStepStore.rectification, in: transaction)
        try await desk.tell(
            told, on: .init(caller: "service consent", now: now, traceparent: nil), in: transaction)
    }
}

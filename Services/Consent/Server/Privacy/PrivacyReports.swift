import ConsentDomain
import Models
import Postgres
import Sealing
import ServiceKit

/// What services report, and what follows for the request.
extension PrivacyDesk {
    /// Writes a report, unless the service has completed before or nothing is to be found any more, and works out where the
    /// request stands.
    func take(
        _ report: PrivacyResult, on id: PrivacyRequestID, on occasion: Occasion,
        in transaction: PostgresTransaction
    ) async throws -> (StoredPrivacyRequest, [PrivacyResult]) {
        guard var request = try await PrivacyRequestStore.lock(id, in: transaction) else {
            throw Self.unknown
        }
        let before = try await PrivacyResultStore.results(of: id, vault: vault, in: transaction)
        let stood = before.first { $0.service == report.service }?.status ?? .pending
        guard stood != .completed, report.status != .pending, request.lifecycle.state == .inProgress else {
            return (request, before)
        }
        if report.status == .completed {
            guard
                try await PrivacyPartStore.settle(
                    report.parts, of: report.service, for: id, in: transaction)
            else { throw Self.partsMissing }
        }
        try await PrivacyResultStore.report(
            PrivacyResult(
                service: report.service, status: stood.after(report.status), result: report.result,
                error: report.error, reportedAt: report.reportedAt, parts: report.parts),
            of: id, isErasure: request.kind.work == .erasure, at: occasion.now, vault: vault, in: transaction)
        if request.kind.work == .erasure, report.service == .identity {
            try await PrivacyRecipientStore.note(
                report.result?["recipients"]?.array ?? [], of: id, in: transaction)
        }
        let after = try await PrivacyResultStore.results(of: id, vault: vault, in: transaction)
        let status = PrivacyProgress.status(after.map(\.status))
        guard status != request.status else { return (request, after) }
        request.status = status
        request.completedAt = status == .pending ? nil : occasion.now
        var told: [Told] = []
        switch status {
        case .completed:
            try Self.take(.complete, on: &request, at: occasion.now)
            told.append(Told(request, .completed))
        case .failed: told.append(Told(request, .failed))
        case .pending: break
        }
        try await PrivacyRequestStore.update(request, in: transaction)
        try await tell(told, on: occasion, in: transaction)
        return (request, after)
    }

    /// Calls of an outbox may overtake each other.
    static let partsMissing = Problem.unavailable("parts of the report are not here yet; report it again")

    /// Keeps a part of what a service has found, until it says how many there are.
    func take(
        part: Int, of service: ServiceName, for id: PrivacyRequestID, member: String, items: [JSON],
        at now: Instant, in transaction: PostgresTransaction
    ) async throws {
        guard let request = try await PrivacyRequestStore.lock(id, in: transaction) else {
            throw Self.unknown
        }
        let stands = try await PrivacyResultStore.statuses(of: id, in: transaction)
        let isOpen = stands.contains { $0.service == service && $0.status != .completed }
        guard request.kind.discloses, request.lifecycle.state == .inProgress, isOpen else { return }
        try await PrivacyPartStore.put(
            part, of: service, for: id, member: member, items: items, at: now, vault: vault,
            in: transaction)
    }

    /// Tells of requests that are due soon, or were; returns how many deadlines it was.
    func remind(upTo now: Instant, limit: Int, in transaction: PostgresTransaction) async throws -> Int {
        let found = try await PrivacyStepStore.due(
            PrivacyStepStore.reminder, upTo: now, limit: limit, in: transaction)
        var requests: [PrivacyRequestID: StoredPrivacyRequest] = [:]
        for id in found.map(\.id).sorted() {
            requests[id] = try await PrivacyRequestStore.lock(id, in: transaction)
        }
        // Now that the requests are held: another instance may have told of some in the meantime.
        let due = try await PrivacyStepStore.due(
            PrivacyStepStore.reminder, upTo: now, limit: limit, in: transaction
        ).filter { deadline in found.contains { $0.id == deadline.id } }
        var told: [Told] = []
        for (id, _) in due {
            // Of several that were missed the last one is told.
            if let request = requests[id],
                let reminder = PrivacyReminder.last(of: request.lifecycle, upTo: now)
            {
                told.append(Told(request, PrivacyEvent(reminder)))
            } else {
                // It was extended since, or has ended.
                let next = requests[id].flatMap { PrivacyReminder.next(of: $0.lifecycle, after: now)?.at }
                try await PrivacyStepStore.set([(id, next)], of: PrivacyStepStore.reminder, in: transaction)
            }
        }
        try await tell(
            told, on: Occasion(caller: "service consent", now: now, traceparent: nil), in: transaction)
        return found.count
    }
}

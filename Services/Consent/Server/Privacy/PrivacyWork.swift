import ConsentDomain
import Models
import Postgres
import ProfileStore
import ServiceKit
import Streams

extension PrivacyDesk {
    /// Something that happened to a request, to be written into its history and told.
    struct Told: Sendable {
        let request: StoredPrivacyRequest
        let event: PrivacyEvent
        /// What was noted, sealed.
        let note: String?

        init(_ request: StoredPrivacyRequest, _ event: PrivacyEvent, note: String? = nil) {
            self.request = request
            self.event = event
            self.note = note
        }
    }

    /// Does what requests that have begun come to, or has it done; returns what happened to them and to others.
    func start(
        _ begun: [(request: StoredPrivacyRequest, detail: JSON?)], on occasion: Occasion,
        in transaction: PostgresTransaction
    ) async throws -> [Told] {
        var told: [Told] = []
        let worked = begun.filter { $0.request.kind.work != nil }.map(\.request)
        try await PrivacyResultStore.expect(worked.map(\.id), in: transaction)
        let erased = worked.filter { $0.kind.work == .erasure }
        told += try await refuseDisclosures(of: erased, on: occasion, in: transaction)
        let refused = Set(told.map(\.request.id))
        try await takeEffect(begun, on: occasion, in: transaction)
        try await publish(worked.filter { !refused.contains($0.id) }, on: occasion, in: transaction)
        for (request, _) in begun where request.lifecycle.state == .completed {
            told.append(Told(request, .completed))
        }
        return told
    }

    /// Whatever an erasure takes away can't be shown any more: who asked for that is told so, instead of being answered
    /// with nothing.
    private func refuseDisclosures(
        of erasures: [StoredPrivacyRequest], on occasion: Occasion, in transaction: PostgresTransaction
    ) async throws -> [Told] {
        guard !erasures.isEmpty else { return [] }
        let open = try await PrivacyRequestStore.lockOpen(of: erasures.flatMap(\.profileIDs), in: transaction)
        var refused: [StoredPrivacyRequest] = []
        for var request in open where request.kind.work != .erasure && !request.kind.isImmediate {
            try request.lifecycle.take(.refuse(reason: Self.erasureReason), at: occasion.now)
            try await PrivacyRequestStore.update(request, in: transaction)
            refused.append(request)
        }
        try await PrivacyResultStore.dropFindings(for: refused.map(\.id), in: transaction)
        return refused.map { Told($0, .refused) }
    }

    /// Why a request ends that an erasure of the same person overtook.
    static let erasureReason = "erasure"

    /// What consent sees to itself: who objects is withdrawn, who is restricted is marked, what is wrong is put right soon.
    private func takeEffect(
        _ begun: [(request: StoredPrivacyRequest, detail: JSON?)], on occasion: Occasion,
        in transaction: PostgresTransaction
    ) async throws {
        let immediate = begun.map(\.request).filter(\.kind.isImmediate)
        try await DecisionLock.take(for: .deciding, of: immediate.flatMap(\.profileIDs), in: transaction)
        var decisions: [NewDecision] = []
        for (request, detail) in begun {
            switch request.kind {
            case .objection, .optOut:
                decisions += purposes(in: detail).map { purpose in
                    NewDecision(
                        profileID: request.profileID,
                        signal: ConsentSignal(
                            purpose: purpose, action: .withdraw, source: "privacy-request", textVersion: nil,
                            // Now, whenever the letter came: a grant in between must not outlive the objection.
                            occurredAt: occasion.now,
                            evidence: [
                                "receivedAt": .string(request.lifecycle.receivedAt.rfc3339),
                                "kind": "privacyRequest", "type": .string(request.kind.rawValue),
                                "requestId": .string(request.id.description),
                                "caller": .string(occasion.caller),
                            ]))
                }
            case .rectification:
                try await PrivacyStepStore.set(
                    [(request.id, occasion.now)], of: PrivacyStepStore.rectification, in: transaction)
            case .access, .portability, .know, .erasure, .delete, .restriction: break
            }
        }
        _ = try await recorder.record(
            decisions, at: occasion.now, traceparent: occasion.traceparent, in: transaction)
        for request in immediate where request.kind == .restriction {
            try await RestrictionStore.restrict(
                request.profileIDs, for: request.id, at: occasion.now, in: transaction)
        }
    }

    private func purposes(in detail: JSON?) -> [String] {
        (detail?["purposes"]?.array ?? []).compactMap(\.string)
    }

    /// Has every service do its part, or these.
    func publish(
        _ worked: [StoredPrivacyRequest], to services: [ServiceName]? = nil, on occasion: Occasion,
        in transaction: PostgresTransaction
    ) async throws {
        let records = worked.compactMap { request in
            request.kind.work.map { work in
                NewRecord(
                    shard: Shard(request.profileID), key: request.profileID.description,
                    body: PrivacyRequest(
                        id: request.id, type: work, profileID: request.profileID,
                        profileIDs: request.profileIDs, requestedAt: occasion.now, services: services
                    ).json,
                    traceparent: occasion.traceparent)
            }
        }
        if !records.isEmpty { try await requests.append(records, at: occasion.now, in: transaction) }
    }

    /// Sets when each is told of next. One that is due is told first, whatever is done to the request meanwhile; and what is filed
    /// when a reminder of it has passed is told of at once.
    private func setReminders(
        _ told: [Told], of requests: [StoredPrivacyRequest], at now: Instant,
        in transaction: PostgresTransaction
    ) async throws {
        let reminded = Set(told.filter { $0.event.isReminder }.map(\.request.id))
        let new = Set(told.filter { $0.event == .received }.map(\.request.id))
        func next(_ request: StoredPrivacyRequest) -> (id: PrivacyRequestID, dueAt: Instant?) {
            let isLate =
                new.contains(request.id) && PrivacyReminder.last(of: request.lifecycle, upTo: now) != nil
            return (
                request.id, isLate ? now : PrivacyReminder.next(of: request.lifecycle, after: now)?.at
            )
        }
        let waiting = requests.filter { $0.lifecycle.state.isOpen && !reminded.contains($0.id) }
        let waitingIDs = Set(waiting.map(\.id))
        try await PrivacyStepStore.set(
            waiting.map(next), of: PrivacyStepStore.reminder, keepingDue: now, in: transaction)
        try await PrivacyStepStore.set(
            requests.filter { !waitingIDs.contains($0.id) }.map(next), of: PrivacyStepStore.reminder,
            in: transaction)
    }

    /// Writes what happened into the histories, sets the next reminders, and tells whoever follows: last in a transaction.
    func tell(_ told: [Told], on occasion: Occasion, in transaction: PostgresTransaction) async throws {
        guard !told.isEmpty else { return }
        try await PrivacyStepStore.append(
            told.map { ($0.request.id, $0.event, $0.note) }, by: occasion.caller, at: occasion.now,
            in: transaction)
        let last = Dictionary(told.map { ($0.request.id, $0.request) }, uniquingKeysWith: { $1 })
        try await setReminders(told, of: Array(last.values), at: occasion.now, in: transaction)
        let ended = last.values.filter { !$0.lifecycle.state.isOpen }.map(\.id)
        try await VerificationTokenStore.remove(of: ended, in: transaction)
        try await PrivacyStepStore.set(
            ended.map { ($0, nil) }, of: PrivacyStepStore.rectification, in: transaction)
        try await DeadlineSweeper.notify(schema: ServiceName.consent.schema, in: transaction)
        let records = told.filter { $0.event != .noted }.map { told in
            NewRecord(
                shard: Shard(told.request.profileID), key: told.request.profileID.description,
                body: PrivacyChange(
                    requestID: told.request.id, profileID: told.request.profileID,
                    type: told.request.kind.rawValue, event: told.event.rawValue,
                    state: told.request.lifecycle.state.rawValue, dueAt: told.request.lifecycle.dueAt,
                    at: occasion.now
                ).json,
                traceparent: occasion.traceparent)
        }
        if !records.isEmpty { try await changes.append(records, at: occasion.now, in: transaction) }
    }
}

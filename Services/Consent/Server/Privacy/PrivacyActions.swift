import ConsentDomain
import Models
import Postgres
import ProfileStore
import Sealing
import ServiceKit
import Streams

/// What people at the desk do with a request.
extension PrivacyDesk {
    /// A request by its id, locked until the transaction ends, together with the people concerned.
    private func lock(
        _ id: PrivacyRequestID, in transaction: PostgresTransaction
    ) async throws -> (StoredPrivacyRequest, Person?) {
        guard let before = try await PrivacyRequestStore.get(id, in: transaction) else { throw Self.unknown }
        let people = try await lock(before.profileIDs, in: transaction)
        guard let request = try await PrivacyRequestStore.lock(id, in: transaction) else {
            throw Self.unknown
        }
        return (request, people[request.profileID])
    }

    static let unknown = Problem.notFound("no such privacy request", type: "unknown-privacy-request")

    /// Makes the secret by which the person shows that they are reached. What is there before is good for nothing then.
    func issue(
        _ token: VerificationToken, for id: PrivacyRequestID, on occasion: Occasion,
        in transaction: PostgresTransaction
    ) async throws {
        guard let request = try await PrivacyRequestStore.lock(id, in: transaction) else {
            throw Self.unknown
        }
        guard request.lifecycle.state == .verifying else {
            throw Self.problem(request.lifecycle.state.isOpen ? .notVerifying : .ended)
        }
        let issued = try await VerificationTokenStore.put(token, of: id, in: transaction)
        guard issued <= VerificationToken.mostIssued else {
            throw Problem.conflict(
                "\(VerificationToken.mostIssued) tokens were issued for this request; verify it another way, and say by which method",
                type: "verification-locked")
        }
        try await tell([Told(request, .tokenIssued)], on: occasion, in: transaction)
    }

    /// What came of a token that was tried. A failure counts, so it is not thrown: its transaction has to commit.
    enum Trial: Sendable {
        case verified(StoredPrivacyRequest)
        case failed
    }

    /// Lets a request go on whose token is right.
    func verify(
        _ id: PrivacyRequestID, digest: [UInt8], on occasion: Occasion, in transaction: PostgresTransaction
    ) async throws -> Trial {
        let (request, person) = try await lock(id, in: transaction)
        guard var token = try await VerificationTokenStore.lock(of: id, in: transaction),
            request.lifecycle.state == .verifying
        else { return .failed }
        guard token.accepts(digest, at: occasion.now) else {
            try await VerificationTokenStore.count(token, of: id, in: transaction)
            try await tell([Told(request, .verificationFailed)], on: occasion, in: transaction)
            return .failed
        }
        try await VerificationTokenStore.remove(of: [id], in: transaction)
        return .verified(
            try await goOn(request, person, saying: "token", on: occasion, in: transaction))
    }

    /// Lets a request go on because somebody at the desk knows who asks.
    func verify(
        _ id: PrivacyRequestID, saying how: String, on occasion: Occasion, in transaction: PostgresTransaction
    ) async throws -> StoredPrivacyRequest {
        let (request, person) = try await lock(id, in: transaction)
        try await VerificationTokenStore.remove(of: [id], in: transaction)
        return try await goOn(request, person, saying: how, on: occasion, in: transaction)
    }

    private func goOn(
        _ before: StoredPrivacyRequest, _ person: Person?, saying how: String, on occasion: Occasion,
        in transaction: PostgresTransaction
    ) async throws -> StoredPrivacyRequest {
        var request = before
        try Self.take(.verify, on: &request, at: occasion.now)
        if let person {
            request.profileID = person.profileID
            request.profileIDs = person.memberIDs
        }
        let key = try await vault.days.key(at: occasion.now)
        let note = try key.seal(how, at: PrivacyStepStore.place(of: request.id))
        var told = [Told(request, .verified, note: note)]
        if person == nil || person?.erasedAt != nil {
            try Self.take(.refuse(reason: Self.erasureReason), on: &request, at: occasion.now)
            told.append(Told(request, .refused))
            try await PrivacyRequestStore.update(request, in: transaction)
        } else {
            told.append(Told(request, .begun))
            if request.kind.isImmediate {
                try Self.take(.complete, on: &request, at: occasion.now)
                (request.status, request.completedAt) = (.completed, occasion.now)
            }
            try await PrivacyRequestStore.update(request, in: transaction)
            let detail = try await detail(of: request)
            told += try await start([(request, detail)], on: occasion, in: transaction)
        }
        try await tell(told, on: occasion, in: transaction)
        return request
    }

    /// What is to be put right, or which purposes are objected to.
    func detail(of request: StoredPrivacyRequest) async throws -> JSON? {
        guard let sealed = request.detail else { return nil }
        return try await vault.days.openJSON(sealed, at: request.detailPlace)
    }

    /// Takes a step that needs no more than to be written down.
    func take(
        _ step: PrivacyRequestLifecycle.Step, as event: PrivacyEvent, on id: PrivacyRequestID,
        noting note: String? = nil, on occasion: Occasion, in transaction: PostgresTransaction
    ) async throws -> StoredPrivacyRequest {
        guard var request = try await PrivacyRequestStore.lock(id, in: transaction) else {
            throw Self.unknown
        }
        try Self.take(step, on: &request, at: occasion.now)
        try await PrivacyRequestStore.update(request, in: transaction)
        if !request.lifecycle.state.isOpen {
            try await PrivacyResultStore.dropFindings(for: [id], in: transaction)
        }
        try await self.note(note, on: request, as: event, on: occasion, in: transaction)
        return request
    }

    /// Has done once more what failed: by identity what is to be put right, by each service that failed its part.
    func retry(
        _ id: PrivacyRequestID, noting note: String?, on occasion: Occasion,
        in transaction: PostgresTransaction
    ) async throws -> StoredPrivacyRequest {
        guard var request = try await PrivacyRequestStore.lock(id, in: transaction) else {
            throw Self.unknown
        }
        switch request.lifecycle.state {
        case .completed, .refused, .cancelled: throw Self.problem(.ended)
        case .received, .verifying: throw Self.problem(.notVerified)
        case .inProgress: break
        }
        let results = try await PrivacyResultStore.statuses(of: id, in: transaction)
        let failed = results.filter { $0.status == .failed }.map(\.service)
        let isRectification = request.kind == .rectification && request.status == .failed
        guard isRectification || !failed.isEmpty else {
            throw Problem.conflict(
                "nothing of this request has failed; what is pending is tried again by itself",
                type: "nothing-failed")
        }
        (request.status, request.completedAt) = (.pending, nil)
        try await PrivacyRequestStore.update(request, in: transaction)
        if isRectification {
            try await PrivacyStepStore.set(
                [(id, occasion.now)], of: PrivacyStepStore.rectification, in: transaction)
        } else {
            let asked = Self.asked(again: failed, for: request.kind)
            try await PrivacyResultStore.expectAgain(asked, of: id, in: transaction)
            try await publish([request], to: asked, on: occasion, in: transaction)
        }
        try await self.note(note, on: request, as: .retried, on: occasion, in: transaction)
        return request
    }

    /// Where identity could not erase, ingestion went by what it found itself; it goes by the names now.
    private static func asked(again failed: [ServiceName], for kind: PrivacyRequestKind) -> [ServiceName] {
        guard kind.work == .erasure, failed.contains(.identity), !failed.contains(.ingestion) else {
            return failed
        }
        return failed + [.ingestion]
    }

    /// Says who sees to a request.
    func assign(
        _ id: PrivacyRequestID, to assignee: String?, on occasion: Occasion,
        in transaction: PostgresTransaction
    ) async throws -> StoredPrivacyRequest {
        guard var request = try await PrivacyRequestStore.lock(id, in: transaction) else {
            throw Self.unknown
        }
        guard request.assignee != assignee else { return request }
        request.assignee = assignee
        try await PrivacyRequestStore.update(request, in: transaction)
        try await tell([Told(request, .assigned)], on: occasion, in: transaction)
        return request
    }

    /// Notes something on a request, whatever its state.
    func note(
        _ text: String, on id: PrivacyRequestID, on occasion: Occasion, in transaction: PostgresTransaction
    ) async throws -> StoredPrivacyRequest {
        guard let request = try await PrivacyRequestStore.lock(id, in: transaction) else {
            throw Self.unknown
        }
        try await note(text, on: request, as: .noted, on: occasion, in: transaction)
        return request
    }

    private func note(
        _ text: String?, on request: StoredPrivacyRequest, as event: PrivacyEvent, on occasion: Occasion,
        in transaction: PostgresTransaction
    ) async throws {
        let key = try await vault.days.key(at: occasion.now)
        let sealed = try text.map { try key.seal($0, at: PrivacyStepStore.place(of: request.id)) }
        try await tell([Told(request, event, note: sealed)], on: occasion, in: transaction)
    }

    /// Ends a restriction, once the person was told that it ends (GDPR article 18, paragraph 3).
    func lift(
        _ id: PrivacyRequestID, noting text: String, on occasion: Occasion,
        in transaction: PostgresTransaction
    ) async throws -> StoredPrivacyRequest {
        let (request, person) = try await lock(id, in: transaction)
        guard request.kind == .restriction else {
            throw Problem.conflict("only a restriction is lifted", type: "not-a-restriction")
        }
        try await DecisionLock.take(
            for: .deciding, of: request.profileIDs + (person?.memberIDs ?? []), in: transaction)
        guard try await RestrictionStore.lift(id, in: transaction) > 0 else {
            throw Problem.conflict("nobody is restricted by this request any more", type: "not-restricted")
        }
        try await note(text, on: request, as: .lifted, on: occasion, in: transaction)
        return request
    }

    static func take(
        _ step: PrivacyRequestLifecycle.Step, on request: inout StoredPrivacyRequest, at now: Instant
    ) throws {
        do {
            try request.lifecycle.take(step, at: now)
        } catch {
            throw problem(error)
        }
    }

    /// What a caller can do about a step that isn't possible.
    static func problem(_ refusal: PrivacyRequestLifecycle.Refusal) -> Problem {
        switch refusal {
        case .ended:
            .conflict("the request has ended; make another one", type: "privacy-request-ended")
        case .notVerified:
            .conflict(
                "it is not known yet who asks; verify the request first", type: "verification-required")
        case .notVerifying:
            .conflict("the request waits for no verification", type: "not-verifying")
        case .alreadyBegun: .conflict("the request has begun", type: "already-begun")
        case .underWay:
            .conflict(
                "the services are erasing; what is gone can't be brought back, so it goes on to its end",
                type: "erasure-under-way")
        case .alreadyExtended:
            .conflict("the request was extended before, and can be once", type: "already-extended")
        case .late:
            .conflict("the request was due before, so it can't be extended any more", type: "request-overdue")
        case .noticeOutOfTime:
            .badRequest(
                "`noticeSentAt` must lie between the receipt of the request and now: the person has to be told first"
            )
        }
    }
}

import ConsentDomain
import Models
import Postgres
import ProfileStore
import ServiceKit

/// What people do on their own pages; each in one transaction, in the order of locks of ``ConsentRecorder``.
struct PreferenceCentre: Sendable {
    let profiles: ProfileStore
    let policies: PolicyReader
    let recorder: ConsentRecorder
    let desk: PrivacyDesk
    let forms: PageForm

    /// What the ledger and the desk know these pages by.
    static let source = "preference-centre"
    /// How the desk knows who asks.
    private static let verification = "preference-link: the link went to the person's own address or account"
    /// Within this time of an access another one is the same.
    private static let accessPause: Duration = .hours(24)

    /// Somebody, and how it stands with them.
    struct Visit: Sendable {
        let claim: PersonLinks.Claim
        let person: Person
        let state: PreferenceState
        let policyVersion: Int64
        let requests: [StoredPrivacyRequest]
    }

    /// From where and by which call something is said.
    struct Occasion: Sendable {
        let requestID: String
        let origin: Origin
        let language: PageLanguage
        let now: Instant
        let traceparent: String?
    }

    /// What came of a form.
    enum Outcome: Sendable {
        case done
        /// The page is out of date.
        case outdated(Visit)
        /// An erasure is going on, so there is nothing left to say.
        case beingErased(Visit)
    }

    /// How it stands with whoever a link is of; nil where it has expired, or leads to nobody any more.
    func visit(
        _ claim: PersonLinks.Claim, at now: Instant, in session: some PostgresSession
    ) async throws -> Visit? {
        guard now < claim.expiresAt, let person = try await profiles.person(claim.profileID, in: session),
            person.erasedAt == nil
        else { return nil }
        let words = try await Self.words(of: person, in: session)
        let current = try await policies.current(in: session)
        return Visit(
            claim: claim, person: person,
            state: PreferenceState(policy: current.policy, words: words, now: now),
            policyVersion: current.version,
            requests: try await PrivacyRequestStore.requests(of: person.memberIDs, in: session).reversed())
    }

    /// What somebody last said.
    static func words(
        of person: Person, in session: some PostgresSession
    ) async throws -> [String: ConsentWord] {
        var words: [String: ConsentWord] = [:]
        // A merge that identity has made may not have been folded yet: fold the members here.
        for standing in try await ConsentStateStore.standing(of: person.memberIDs, in: session) {
            let word = ConsentWord(standing.decision)
            if words[standing.purpose].map({ word.prevails(over: $0) }) ?? true {
                words[standing.purpose] = word
            }
        }
        return words
    }

    /// Records what a form chooses.
    func save(
        _ form: FormBody, _ claim: PersonLinks.Claim, on occasion: Occasion,
        in transaction: PostgresTransaction
    ) async throws -> Outcome? {
        guard let visit = try await lock(claim, on: occasion, in: transaction) else { return nil }
        if visit.erasure != nil { return .beingErased(visit) }
        guard isGood(form, for: .save, visit) else { return .outdated(visit) }
        let choice = try PageForm.choice(form, visit.state)
        try await record(visit.state.changes(to: choice), of: visit, on: occasion, in: transaction)
        return .done
    }

    /// Records a no to everything.
    func unsubscribe(
        _ form: FormBody, _ claim: PersonLinks.Claim, on occasion: Occasion,
        in transaction: PostgresTransaction
    ) async throws -> Outcome? {
        guard let visit = try await lock(claim, on: occasion, in: transaction) else { return nil }
        guard isGood(form, for: .unsubscribe, visit) else { return .outdated(visit) }
        try await record(visit.state.refusals, of: visit, on: occasion, in: transaction)
        return .done
    }

    /// Files an access request, unless there is one.
    func askForData(
        _ form: FormBody, _ claim: PersonLinks.Claim, on occasion: Occasion,
        in transaction: PostgresTransaction
    ) async throws -> Outcome? {
        guard let visit = try await lock(claim, on: occasion, in: transaction) else { return nil }
        if visit.erasure != nil { return .beingErased(visit) }
        guard isGood(form, for: .data, visit) else { return .outdated(visit) }
        let isRecent = visit.requests.contains {
            $0.kind == .access && $0.lifecycle.state == .completed
                && occasion.now - $0.lifecycle.receivedAt < Self.accessPause
        }
        if !isRecent { try await file(.access, for: visit, on: occasion, in: transaction) }
        return .done
    }

    /// Files an erasure, unless there is one.
    func erase(
        _ form: FormBody, _ claim: PersonLinks.Claim, on occasion: Occasion,
        in transaction: PostgresTransaction
    ) async throws -> Outcome? {
        guard let visit = try await lock(claim, on: occasion, in: transaction) else { return nil }
        if visit.erasure != nil { return .done }
        guard isGood(form, for: .erasure, visit) else { return .outdated(visit) }
        try await file(.erasure, for: visit, on: occasion, in: transaction)
        return .done
    }

    /// As ``visit(_:at:in:)``, with everything locked that decides what is recorded.
    private func lock(
        _ claim: PersonLinks.Claim, on occasion: Occasion, in transaction: PostgresTransaction
    ) async throws -> Visit? {
        try await recorder.lockPeople(of: [claim.profileID], in: transaction)
        return try await visit(claim, at: occasion.now, in: transaction)
    }

    private func isGood(_ form: FormBody, for action: PageForm.Action, _ visit: Visit) -> Bool {
        forms.isGood(
            form.fields["form"], for: action, visit.claim, visit.state, policyVersion: visit.policyVersion)
    }

    private func record(
        _ changes: [PreferenceState.Change], of visit: Visit, on occasion: Occasion,
        in transaction: PostgresTransaction
    ) async throws {
        let decisions = changes.map { change in
            let purpose = visit.state.policy.purposes[change.name]
            return NewDecision(
                // Of the profile that the link is of, with which it stays when a merge is undone.
                profileID: visit.claim.profileID,
                signal: ConsentSignal(
                    purpose: change.name, action: change.action, source: Self.source,
                    textVersion: purpose?.textVersion ?? PageTexts.version,
                    locale: purpose?.text(in: occasion.language)?.locale ?? occasion.language.rawValue,
                    // Whoever says it here says it last, whatever the clock was by that what stands was said.
                    occurredAt: max(
                        occasion.now,
                        visit.state.words[change.name].map { $0.at + .milliseconds(1) } ?? .distantPast),
                    evidence: [
                        "kind": "preferenceCentre", "requestId": .string(occasion.requestID),
                        "linkExpiresAt": .string(visit.claim.expiresAt.rfc3339),
                    ]
                ).with(occasion.origin), traceparent: occasion.traceparent)
        }
        _ = try await recorder.record(
            decisions, at: occasion.now, traceparent: occasion.traceparent, in: transaction)
    }

    private func file(
        _ kind: PrivacyRequestKind, for visit: Visit, on occasion: Occasion,
        in transaction: PostgresTransaction
    ) async throws {
        let how = "\(Self.verification); request \(occasion.requestID)"
        let asked = PrivacyDesk.Occasion(
            caller: Self.source, now: occasion.now, traceparent: occasion.traceparent)
        let verdict = try await desk.receive(
            [
                PrivacyDesk.Wish(
                    kind: kind, regime: kind.regime, profileID: visit.person.profileID,
                    receivedAt: occasion.now, needsVerification: false, verification: how)
            ], joining: true, on: asked, in: transaction
        ).first
        switch verdict {
        case .accepted, nil: break
        case .duplicate(let request) where request.lifecycle.state == .verifying:
            // Somebody else filed it for them, and it waited for them to show that it is they.
            _ = try await desk.verify(request.id, saying: how, on: asked, in: transaction)
        case .duplicate: break
        case .refused(let problem): throw problem
        }
    }
}

extension PreferenceCentre.Visit {
    /// An erasure that is going on. One that still waits for somebody to show who they are takes nothing away from them.
    var erasure: StoredPrivacyRequest? {
        requests.first { $0.kind.work == .erasure && $0.lifecycle.state == .inProgress }
    }
}

import ConsentDomain
import Logging
import Metrics
import Models
import Postgres
import ProfileStore
import ServiceKit

/// Files an erasure for everybody whom nothing has permitted to hold for as long as the retention policy says.
///
/// Once an hour everybody is gone through to count how many that would be, and only where it is not too many once more to file
/// the requests. Whoever is filed for is decided on again with their chain locked, in the transaction that files: a grant is either
/// seen, or comes after the request.
struct NoBasisSweep: Sendable {
    let desk: PrivacyDesk
    let policies: PolicyReader
    let logger: Logger

    /// Who files the requests, and why, as the desk shows it.
    static let caller = "service consent"
    static let reason = "noBasis"
    /// How many requests one pass files, which is one an hour: each is work of seven services.
    static let mostFiled: Int64 = 1_000
    /// How many people one transaction locks.
    static let mostLocked = 100

    func task(by current: CurrentRetention, at now: Instant) -> RetentionTask? {
        guard let rule = current.policy.noBasis else { return nil }
        let version = current.version
        return RetentionTask(.noBasis, before: rule.boundary(now: now)) { step, transaction in
            try await take(step, rule, version, in: transaction)
        }
    }

    private func take(
        _ step: RetentionTask.Step, _ rule: NoBasisRule, _ version: Int64, in transaction: PostgresTransaction
    ) async throws -> RetentionTask.Progress {
        let consent = try await policies.current(in: transaction)
        let before = try await NoBasisStore.pass(in: transaction)
        let isSame =
            before?.policyVersion == version && before?.consentVersion == consent.version
            && before?.boundary == step.boundary
        // An instance that is late has still to end with an hour that others are through with.
        if let before, before.boundary > step.boundary, before.policyVersion == version {
            return .init(rows: 0, isDone: true)
        }
        var pass =
            isSame ? before : nil
        if pass == nil {
            pass = NoBasisPass(
                policyVersion: version, consentVersion: consent.version, boundary: step.boundary,
                phase: .counting, place: .start,
                // So many an hour, whatever becomes of the policies in it.
                filed: before.map { Self.hour($0.startedAt) == Self.hour(step.now) ? $0.filed : 0 } ?? 0,
                startedAt: step.now)
        }
        guard var pass, pass.phase == .counting || pass.phase == .filing else {
            return .init(rows: 0, isDone: true)
        }
        let look = NoBasisLook(
            profiles: desk.profiles, rule: rule, policy: consent.policy,
            grounds: try await NoBasisStore.groundsSince(consent, in: transaction), now: step.now)
        let people = try await NoBasisStore.people(after: pass.place, limit: step.limit, in: transaction)
        let lacking = try await look.lacking(among: people, in: transaction)
        var filed = 0
        if pass.phase == .counting {
            pass.people += Int64(people.count)
            pass.withoutBasis += Int64(lacking.count)
            move(&pass, behind: people, wanted: step.limit, rule, at: step.now)
        } else {
            let room = Int(min(Int64(Self.mostLocked), Self.mostFiled - pass.filed))
            let chosen = Array(lacking.prefix(room))
            filed = try await file(chosen.map(\.profileID), look, at: step.now, in: transaction)
            pass.filed += Int64(filed)
            if chosen.count < lacking.count, let last = chosen.last {
                pass.place.after = last.profileID
            } else {
                move(&pass, behind: people, wanted: step.limit, rule, at: step.now)
            }
            if pass.filed >= Self.mostFiled { end(&pass, .done, at: step.now) }
        }
        try await NoBasisStore.keep(pass, in: transaction)
        return .init(rows: filed, isDone: pass.phase == .held || pass.phase == .done)
    }

    private static func hour(_ instant: Instant) -> Int64 { instant.milliseconds / 3_600_000 }

    /// Goes on behind the people who were looked at: in the same shard, in the next, or to what follows the last.
    private func move(
        _ pass: inout NoBasisPass, behind people: [NoBasisPerson], wanted: Int, _ rule: NoBasisRule,
        at now: Instant
    ) {
        if people.count == wanted, let last = people.last {
            pass.place.after = last.profileID
        } else if let next = pass.place.next {
            pass.place = next
        } else if pass.phase == .filing {
            end(&pass, .done, at: now)
        } else if rule.isTooMany(pass.withoutBasis, of: pass.people) {
            end(&pass, .held, at: now)
            logger.warning(
                "nobody is erased for want of a basis: it would be more people than the retention policy lets go unasked",
                metadata: [
                    "withoutBasis": "\(pass.withoutBasis)", "people": "\(pass.people)",
                    "mostPercent": "\(rule.mostPercent)",
                ])
        } else if pass.withoutBasis == 0 {
            end(&pass, .done, at: now)
        } else {
            (pass.phase, pass.place) = (.filing, .start)
        }
    }

    private func end(_ pass: inout NoBasisPass, _ phase: NoBasisPass.Phase, at now: Instant) {
        (pass.phase, pass.endedAt) = (phase, now)
    }

    /// Files requests for those of the profiles' people who still have no basis; returns for how many.
    private func file(
        _ chosen: [ProfileID], _ look: NoBasisLook, at now: Instant, in transaction: PostgresTransaction
    ) async throws -> Int {
        guard !chosen.isEmpty else { return 0 }
        // Nobody decides anything of them, or asks for anything, from here on.
        _ = try await desk.lock(chosen, in: transaction)
        let people = try await NoBasisStore.people(of: chosen, in: transaction)
        let lacking = try await look.lacking(among: people, in: transaction)
        let wishes = lacking.map { person in
            PrivacyDesk.Wish(
                kind: .erasure, regime: .gdpr, profileID: person.profileID, receivedAt: now,
                needsVerification: false, reason: Self.reason)
        }
        let verdicts = try await desk.receive(
            wishes, joining: true, on: .init(caller: Self.caller, now: now, traceparent: nil), in: transaction
        )
        let filed = verdicts.count {
            if case .accepted = $0 { true } else { false }
        }
        Counter(label: "martlet_consent_without_basis_total").increment(by: Int64(filed))
        return filed
    }
}

import ConsentDomain
import Models
import Postgres
import ProfileStore
import ServiceKit

/// Turns forms into wishes: whom they are about, and which purposes they mean.
struct PrivacyIntake: Sendable {
    let subjects: SubjectResolver
    let pool: PostgresPool

    /// What a form comes to, or why it comes to nothing.
    func wishes(
        of forms: [PrivacyForm], at now: Instant
    ) async throws -> [Result<PrivacyDesk.Wish, Problem>] {
        let identifiers = Set(
            forms.compactMap { form -> Identifier? in
                if case .identifier(let identifier) = form.subject { identifier } else { nil }
            })
        let known = try await subjects.profiles.canonicalIDs(of: identifiers, in: pool)
        let purposes =
            forms.contains { $0.kind == .objection || $0.kind == .optOut }
            ? try await purposes() : []
        return forms.map { form in
            Result { () throws(Problem) in
                let profile: ProfileID? =
                    switch form.subject {
                    case .profile(let id): id
                    case .identifier(let identifier): known[identifier]
                    }
                guard let profile else { throw SubjectResolver.unknown }
                return PrivacyDesk.Wish(
                    kind: form.kind, regime: form.regime, profileID: profile,
                    receivedAt: form.receivedAt ?? now, needsVerification: form.needsVerification,
                    verification: form.verification, assignee: form.assignee, reference: form.reference,
                    detail: try Self.detail(of: form, purposes: purposes))
            }
        }
    }

    /// Those of the policy in force, with what it says of them.
    private func purposes() async throws -> [Purpose] {
        guard let stored = try await ConsentPolicyStore.get(in: pool) else { return [] }
        return Array(try ConsentPolicy(json: try JSONParser.parse(stored.body)).purposes.values)
    }

    private static func detail(of form: PrivacyForm, purposes: [Purpose]) throws(Problem) -> JSON? {
        guard form.kind == .objection || form.kind == .optOut else { return form.detail }
        let meant = form.purposes ?? ObjectedPurposes.meant(by: form.kind, among: purposes)
        guard !meant.isEmpty else {
            throw .badRequest(
                "no purpose is known to be meant by this; name those in `purposes`", type: "purposes-missing")
        }
        let known = Set(purposes.map(\.id))
        guard meant.allSatisfy(known.contains) else { throw PurposeRoutes.unknown }
        return ["purposes": .array(meant.sorted().map(JSON.string))]
    }
}

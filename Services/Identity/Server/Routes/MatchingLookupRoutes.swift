import HTTPTypes
import IdentityDomain
import Models
import ProfileStore
import ServiceKit

/// Whose profile a record may be of.
struct MatchingLookupRoutes {
    let online: OnlineMatching
    let people: MatchingReading
    let policies: PolicyRegistry

    private static let patience: Duration = .seconds(3)
    private static let mostCandidates = 100

    func add(to router: ServiceRouter) {
        router.post("/v1/matching/lookup", scope: .profilesRead, touches: .identifiers) { try await look($0) }
    }

    private func look(_ request: ServiceRequest) async throws -> ServiceResponse {
        let fields = try JSONFields(try await request.json(maxBytes: ProfileUpsert.itemBytes))
        try fields.allow(["traits", "policy", "limit"])
        let traits = try fields.object("traits")
        try ProfileUpsert.check(traits: traits, at: "traits")
        var thresholds = MatchPolicy.standard
        if let json = fields["policy"] {
            try JSONFields(json, at: "policy").allow(["merge", "review"])
            thresholds = try MatchPolicy(json: json, at: "policy")
        }
        let limit = try fields.optionalInteger("limit") ?? 20
        guard (1...Int64(Self.mostCandidates)).contains(limit) else {
            throw fields.problem("limit", expected: "a whole number from 1 to \(Self.mostCandidates)")
        }
        let policy = try await policies.latest(in: people.pool)
        let said = MatchIdentifiers(ImportedRecord.identifiers(in: traits, policy))
        guard let values = online.mapping.values(traits: traits, identifiers: said) else {
            throw fields.problem(
                "traits",
                expected: "an object with something to compare: a name, a date of birth, an address, …")
        }
        let found = try await candidates(for: values, thresholds, limit: Int(limit))
        // What is told of them is what holds now, and of who is not there any more there is nothing to tell.
        let views = try await people.views(of: found.map(\.profileID))
        return .json([
            "items": .array(
                found.compactMap { candidate in
                    views[candidate.profileID].map { Self.json(candidate, $0, values, online.mapping) }
                })
        ])
    }

    private func candidates(
        for values: [String?], _ policy: MatchPolicy, limit: Int
    ) async throws -> [OnlineMatching.Candidate] {
        do {
            do {
                return try await online.look(up: values, policy: policy, limit: limit)
            } catch OnlineMatching.Absence.building {
                await online.waitForBuilding(upTo: Self.patience)
                return try await online.look(up: values, policy: policy, limit: limit)
            }
        } catch let absence as OnlineMatching.Absence {
            switch absence {
            case .building:
                throw Problem.unavailable(
                    "the index of profiles is being made; try again", retryAfterSeconds: 5)
            case .tooManyProfiles(let limit):
                throw Problem.unavailable(
                    "there are more than \(limit) profiles to compare; MARTLET_MATCHING_PROFILES may be raised where there is memory for more",
                    retryAfterSeconds: 3600)
            }
        }
    }

    private static func json(
        _ candidate: OnlineMatching.Candidate, _ view: ProfileView, _ values: [String?],
        _ mapping: MatchMapping
    ) -> JSON {
        let theirs =
            mapping.values(
                traits: view.values, identifiers: MatchingReading.identifiers(of: view)) ?? []
        return [
            "profileId": .string(candidate.profileID.description),
            "score": .double(candidate.found.explanation.probability),
            "weight": .double(candidate.found.weight),
            "verdict": .string(candidate.found.verdict.rawValue),
            "explanation": MatchingProposalRoutes.filled(
                candidate.found.explanation.json, [values, theirs]),
        ]
    }
}

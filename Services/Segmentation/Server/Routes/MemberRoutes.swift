import Foundation
import Models
import Postgres
import ProfileStore
import Sealing
import SegmentationDomain
import ServiceKit

/// Who is in a segment, in which segments somebody is, and why.
struct MemberRoutes {
    let pool: PostgresPool
    let clock: ServiceClock
    let registry: SegmentRegistry
    let profiles: ProfileStore

    func add(to router: ServiceRouter) {
        router.get("/v1/segments/{id}/members", scope: .segmentsRead, touches: .people) {
            try await members($0)
        }
        router.get("/v1/segments/{id}/members/{profileId}/why", scope: .segmentsRead, touches: .people) {
            try await why($0)
        }
        router.get("/v1/profiles/{id}/evidence/{evidenceId}", scope: .segmentsRead, touches: .people) {
            try await evidence($0)
        }
        router.get("/v1/profiles/{id}/segments", scope: .segmentsRead, touches: .people) {
            try await segments($0)
        }
    }

    private func members(_ request: ServiceRequest) async throws -> ServiceResponse {
        let id = try request.path("id")
        let limit = try request.query("limit", in: 1...1_000, default: 100)
        let after = try Self.position(try request.query("cursor"))
        let found = try await pool.withConnection { connection in
            guard try await SegmentStore(connection).segment(id) != nil else { throw Problem.noSegment }
            return try await MembershipStore.members(of: id, after: after, limit: limit + 1, in: connection)
        }
        let shown = found.prefix(limit)
        return .page(
            shown.map { .object($0.json) },
            nextCursor: found.count > limit
                ? shown.last.map { Cursor.encode([$0.profileID.description]) } : nil)
    }

    /// The profile that a list goes on after.
    static func position(_ cursor: String?) throws(Problem) -> ProfileID? {
        guard let parts = try Cursor.decode(cursor, count: 1) else { return nil }
        guard let id = ProfileID(parts[0]) else {
            throw .badRequest("`cursor` must be a `nextCursor` of this list, passed on as it was")
        }
        return id
    }

    /// Evidence that a change on the stream names, because it is too large to stand there.
    private func evidence(_ request: ServiceRequest) async throws -> ServiceResponse {
        let profile = try request.pathID("id", as: ProfileID.self)
        guard let id = UUID(uuidString: try request.path("evidenceId")) else {
            throw Problem.badRequest("`evidenceId` must be the `kept` of a change's evidence")
        }
        let kept = try await pool.withConnection {
            try await KeptEvidence.read(id, of: profile, vault: registry.vault, in: $0)
        }
        guard let kept else {
            throw Problem.notFound("no evidence is kept under this id", type: "unknown-evidence")
        }
        return .json(kept)
    }

    private func segments(_ request: ServiceRequest) async throws -> ServiceResponse {
        let id = try request.pathID("id", as: ProfileID.self)
        let memberships = try await pool.withConnection { connection in
            guard let person = try await profiles.person(id, in: connection) else { throw Problem.noProfile }
            let known = try await connection.query(
                "SELECT id FROM segment WHERE deleted_at IS NULL"
            ).map { try $0.get("id", as: String.self) }
            return try await profiles.memberships(of: person, in: connection).filter {
                known.contains($0.segment)
            }
        }
        return .page(
            memberships.map { membership in
                [
                    "segment": .string(membership.segment),
                    "profileId": .string(membership.profileID.description),
                    "enteredAt": .string(membership.enteredAt.rfc3339),
                    "version": .integer(Int64(membership.version)), "evidence": membership.evidence,
                ]
            }, nextCursor: nil)
    }

    /// Why somebody is in a segment, or is not: the evidence of the entry, and every condition as it is now.
    private func why(_ request: ServiceRequest) async throws -> ServiceResponse {
        let segment = try request.path("id")
        let asked = try request.pathID("profileId", as: ProfileID.self)
        let now = try await clock.now()
        return try await pool.transaction { transaction in
            let decider = try await registry.decider(in: transaction)
            guard SegmentDefinition.isValid(id: segment), let definition = decider.set[id: segment] else {
                throw Problem.noSegment
            }
            let id = try await profiles.canonicalID(of: asked, in: transaction) ?? asked
            guard
                case .state(var state)? = try await StateStore.read(
                    id, registry, in: transaction)
            else {
                throw Problem.noProfile
            }
            let membership = try await transaction.query(
                """
                SELECT entered_at, version, evidence FROM profiles.membership
                WHERE shard = \(Shard(id)) AND profile_id = \(id) AND segment = \(segment)
                """
            ).first
            // A rule that has just come into force, and of which the profile's part has yet to be told.
            let untold =
                decider.needsHistory(state) ? [] : decider.refresh(&state, with: [], now: now, of: id)
            var evidence = try await registry.vault.days.open(
                try membership.map { try $0.get("evidence", as: JSON.self) } ?? .null,
                at: StoredMembership.place(of: id, segment: segment))
            evidence = try await KeptEvidence.whole(
                evidence, of: id, vault: registry.vault, in: transaction)
            if let own = untold.last(where: { $0.segment == segment }), own.change == .entered {
                evidence = own.evidence
            }
            var answer: [String: JSON] = [
                "segment": .string(segment), "profileId": .string(id.description),
                "member": .bool(membership != nil), "version": .integer(Int64(definition.version)),
                "enteredAt": try membership.map {
                    .string(try $0.get("entered_at", as: Instant.self).rfc3339)
                } ?? .null,
                "evidence": evidence,
                "conditions": .null, "whyNot": .null, "decidedAt": .null, "nextChangeAt": .null,
            ]
            // A state of an older rule is being brought up to date; until then the entry's evidence is all there is.
            if let own = decider.standing(in: segment, of: state) {
                let instant = max(now, max(state.decidedAt, own.decidesFrom))
                let explanation = decider.explain(segment, of: state, at: instant)
                answer["conditions"] = explanation?.json ?? .null
                answer["whyNot"] =
                    explanation?.whyNot.map { ["text": .string($0.text), "lacks": $0.json] } ?? .null
                answer["decidedAt"] = .string(instant.rfc3339)
                answer["nextChangeAt"] = own.deadline.map { .string($0.rfc3339) } ?? .null
            }
            return .json(.object(answer))
        }
    }
}

extension MembershipStore.Member {
    var json: [String: JSON] {
        [
            "profileId": .string(profileID.description), "enteredAt": .string(enteredAt.rfc3339),
            "version": .integer(Int64(version)),
        ]
    }
}

extension Problem {
    static var noProfile: Problem { .notFound("there is no profile with this id", type: "unknown-profile") }
}

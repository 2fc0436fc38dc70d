import Models
import Postgres
import ProfileStore
import SegmentationDomain
import ServiceKit

/// Where somebody stands: `GET /v1/scorecard/{profileId}`.
struct ScorecardRoutes {
    let pool: PostgresPool
    let clock: ServiceClock
    let registry: SegmentRegistry
    let profiles: ProfileStore
    let folding: TraitFolding

    /// The latest events of each score that are listed.
    private static let events = 100
    /// The next changes that are listed.
    private static let changes = 20
    /// Segments and thresholds that are listed.
    private static let listed = 50
    private static let computedTraits = "computed-traits"

    func add(to router: ServiceRouter) {
        router.get("/v1/scorecard/{profileId}", scope: .segmentsRead, touches: .people) {
            try await scorecard($0)
        }
    }

    private func scorecard(_ request: ServiceRequest) async throws -> ServiceResponse {
        let asked = try request.pathID("profileId", as: ProfileID.self)
        let include = try request.query("include")
        guard include == nil || include == Self.computedTraits else {
            throw Problem.badRequest("`include` must be \(Self.computedTraits), if it is there")
        }
        let now = try await clock.now()
        var (card, id, instant) = try await pool.transaction { transaction in
            let decider = try await registry.decider(in: transaction)
            guard let person = try await profiles.person(asked, in: transaction) else {
                throw Problem.noProfile
            }
            let id = person.profileID
            guard
                case .state(let stored)? = try await StateStore.read(
                    id, registry, in: transaction)
            else { throw Problem.noProfile }
            // By rules that have just come into force, also where the profile's part has yet to be told.
            let state = decider.upToDate(stored, now: now, of: id)
            let stage = try await profiles.stage(of: person, in: transaction)
            let stages = try await StageStore(transaction).stages().list()
            let instant = max(now, state.decidedAt)
            let card: [String: JSON] = [
                "profileId": .string(id.description), "at": .string(instant.rfc3339),
                "stage": Self.json(stage, among: stages),
                "stagesAhead": .array(
                    Self.ahead(of: stage?.stage, among: stages).map {
                        Self.ahead($0, decider, state, at: instant)
                    }),
                "scores": .array(Self.scores(of: state, in: decider.set, at: instant)),
                "next": .array(
                    decider.forecast(from: state, of: id, limit: Self.changes).compactMap(Self.next)),
                "withinReach": .array(Self.withinReach(decider, state, at: instant)),
            ]
            return (card, id, instant)
        }
        if include != nil {
            // After the rules are let go of: whoever changes them must not wait for a long history, and all others for them.
            card["computedTraits"] = .array(
                try await folding.folded {
                    try await pool.transaction(isolation: .repeatableRead) { transaction in
                        try await ComputedTraitReading(transaction, vault: registry.vault)
                            .traits(of: id, at: instant)
                    }
                })
        }
        return .json(.object(card))
    }

    // MARK: Stages

    private static func json(_ stored: StoredStage?, among stages: [StageDefinition]) -> JSON {
        guard let stored else { return .null }
        return [
            "stage": .string(stored.stage),
            "name": .string(stages.first { $0.id == stored.stage }?.name ?? stored.stage),
            "version": .integer(Int64(stored.version)), "enteredAt": .string(stored.enteredAt.rfc3339),
            "evidence": stored.evidence,
        ]
    }

    /// The stages after the one that somebody is in; all for who is in none.
    private static func ahead(of id: String?, among stages: [StageDefinition]) -> ArraySlice<StageDefinition>
    {
        stages[(stages.firstIndex { $0.id == id }.map { $0 + 1 } ?? 0)...]
    }

    private static func ahead(
        _ stage: StageDefinition, _ decider: SegmentDecider, _ state: ProfileState, at instant: Instant
    ) -> JSON {
        let rule = decider.explain(SegmentDefinition.key(ofStageRule: stage.id), of: state, at: instant)
        return [
            "stage": .string(stage.id), "name": .string(stage.name), "whyNot": json(rule?.whyNot),
        ]
    }

    private static func json(_ lack: Lack?) -> JSON {
        lack.map { ["text": .string($0.text), "lacks": $0.json] } ?? .null
    }

    // MARK: Scores

    private static func scores(of state: ProfileState, in set: SegmentSet, at instant: Instant) -> [JSON] {
        ScoreReading.values(of: state, in: set, at: instant).map { value in
            let moves = value.scoring.moves(value.memory, at: instant)
            var members = value.json(at: instant)
            members["maximum"] = value.scoring.maximum.map { .string($0.text) }
            members["events"] = .array(moves.suffix(events).map(\.json))
            members["eventCount"] = .integer(Int64(moves.count))
            members["thresholds"] = .array(
                ScoreThreshold.all(of: value.id, in: set).prefix(listed).map {
                    $0.json(value.standing, at: instant)
                })
            return .object(members)
        }
    }

    // MARK: What comes next

    private static func next(_ fact: MembershipFact) -> JSON? {
        switch fact {
        case .changed(let change):
            [
                "at": .string(change.at.rfc3339), "segment": .string(change.segment),
                "change": .string(change.change.rawValue),
            ]
        case .stage(let change):
            [
                "at": .string(change.at.rfc3339), "stage": change.stage.map { .string($0) } ?? .null,
                "previous": change.previous.map { .string($0) } ?? .null,
            ]
        case .unmerged, .unknown: nil
        }
    }

    /// The segments that somebody is not in, of which can be said how much is missing.
    private static func withinReach(
        _ decider: SegmentDecider, _ state: ProfileState, at instant: Instant
    ) -> [JSON] {
        let state = decider.seen(state)
        return decider.set.segments.lazy
            .filter { $0.isSegment && state.standing(in: $0.id)?.isMember == false }
            .compactMap { definition -> JSON? in
                guard let lack = decider.explain(definition.id, of: state, at: instant)?.whyNot,
                    lack.isMeasured
                else { return nil }
                return ["segment": .string(definition.id), "whyNot": json(lack)]
            }
            .prefix(listed).map { $0 }
    }
}

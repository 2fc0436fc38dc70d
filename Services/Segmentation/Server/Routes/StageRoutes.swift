import HTTPTypes
import Models
import Postgres
import SegmentationDomain
import ServiceKit

/// The journey stages: `/v1/stages`.
struct StageRoutes {
    let pool: PostgresPool
    let clock: ServiceClock
    let registry: SegmentRegistry

    func add(to router: ServiceRouter) {
        router.get("/v1/stages", scope: .segmentsRead, touches: .definitions) { _ in
            Self.answer(try await pool.withConnection { try await StageStore($0).stages() })
        }
        router.put("/v1/stages", scope: .segmentsWrite, touches: .changes) { try await put($0) }
    }

    private func put(_ request: ServiceRequest) async throws -> ServiceResponse {
        try request.requireMediaType(["application/json"])
        let text = try await WrittenDefinition.text(of: request)
        let path = RulePath(["stages"])
        let stages = try Self.stages(in: text, at: path)
        let now = try await clock.now()
        let stored = try await pool.transaction { transaction in
            try await SegmentStore(transaction).lockAlone()
            let store = StageStore(transaction)
            try request.check(edition: try await store.stages().edition, of: "list of stages")
            let set = try await registry.decider(in: transaction).set
            // They stand beside the segments as they are and as they will be.
            for segments in [set.inForce, set.upcoming] {
                try Self.checkUse(of: stages, among: segments)
                let problems = StageDefinition.problems(of: stages, among: segments, at: path)
                guard problems.isEmpty else { throw Self.problem(problems, in: text) }
            }
            let keys = Set(set.segments.map(\.id).filter(SegmentDefinition.isOfStages))
            try await store.store(stages, companions: set.companions(of: keys), at: now)
            return try await store.stages()
        }
        return Self.answer(stored)
    }

    private static func stages(in text: [UInt8], at path: RulePath) throws(Problem) -> [StageDefinition] {
        let field = RuleField(try WrittenDefinition.json(text))
        let list: RuleField
        do throws(RuleProblem) {
            try field.allow(["stages"])
            list = try field.required("stages", "the list of stages in their order")
        } catch { throw problem([error], in: text) }
        let stages: [StageDefinition]
        do { stages = try StageDefinition.list(list) } catch { throw problem(error.problems, in: text) }
        // An edition or a computed trait switches segments as one, and stages change from person to person.
        let named = stages.enumerated().flatMap { index, stage in
            let path = path.appending("\(index)").appending("rule")
            return stage.condition.models(at: path).map(\.path)
                + stage.condition.computedTraits(at: path).map(\.path)
        }
        guard named.isEmpty else {
            throw problem(
                named.map {
                    RuleProblem(
                        $0, expected: "a condition of stages; look at a segment that has this one")
                }, in: text)
        }
        return stages
    }

    /// Stages that segments look at cannot go.
    private static func checkUse(
        of stages: [StageDefinition], among segments: [SegmentDefinition]
    ) throws(Problem) {
        let kept = Set(stages.map { SegmentDefinition.key(ofStage: $0.id) })
        for gone in segments.compactMap({ kept.contains($0.id) ? nil : SegmentDefinition.stage(ofKey: $0.id) }
        ) {
            let users = SegmentReferences.users(of: .stage(gone), among: segments)
            guard users.isEmpty else {
                throw .conflict(
                    "the rules of segments look at stage \(gone); change or delete these first: "
                        + users.map(SegmentDefinition.words).joined(separator: ", "), type: "stage-in-use")
            }
        }
    }

    private static func problem(_ problems: [RuleProblem], in text: [UInt8]) -> Problem {
        WrittenDefinition.problem(problems, in: text, type: "invalid-stages")
    }

    private static func answer(_ stored: StoredStages) -> ServiceResponse {
        .json(stored.json, headers: [.eTag: "\"\(stored.edition)\""])
    }
}

extension StoredStages {
    /// The stages as callers see them; `text` is each rule in words.
    var json: JSON {
        let inForce = Self.shown(stages)
        let upcoming = next.map { Self.shown($0.stages) }
        let coming = next.map { next -> JSON in
            ["version": .integer(Int64(next.version)), "stages": upcoming?.stages ?? []]
        }
        return [
            "version": .integer(Int64(version)), "stages": inForce.stages, "next": coming ?? .null,
            // Of the list that was written last: whoever writes it is told.
            "notices": .array((upcoming ?? inForce).notices.map(\.json)),
            "status": isSettled ? "live" : "backfilling",
            "updatedAt": updatedAt.map { .string($0.rfc3339) } ?? .null,
        ]
    }

    private static func shown(_ stages: JSON) -> (stages: JSON, notices: [RuleNotice]) {
        var notices: [RuleNotice] = []
        let shown = (stages.array ?? []).enumerated().map { index, stage -> JSON in
            let rule = stage["rule"].flatMap { try? RuleReader.read($0) }
            notices += rule?.notices(at: RulePath(["stages", "\(index)", "rule"])) ?? []
            var members = stage.object ?? [:]
            members["text"] = .string(rule?.text ?? "")
            return .object(members)
        }
        return (.array(shown), notices)
    }
}

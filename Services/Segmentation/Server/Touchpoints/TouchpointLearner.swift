import Logging
import Models
import Postgres
import SegmentationDomain
import ServiceKit
import ServiceLifecycle
import Streams

/// Learns models of touchpoints: reads the histories of a sample of people and fits. What it has read is kept nowhere, so
/// a model whose instance dies is begun anew by another.
final class TouchpointLearner: Service {
    private let pool: PostgresPool
    private let registry: SegmentRegistry
    private let hub: WakeHub
    private let clock: ServiceClock
    private let logger: Logger

    /// People whose histories are read in one transaction.
    private static let atOnce = 50

    init(registry: SegmentRegistry, context: ServiceContext) {
        self.registry = registry
        pool = context.pool
        hub = context.hub
        clock = context.clock
        logger = context.logger
    }

    func run() async throws {
        await JobLoop(
            hub: hub, logger: logger, channel: TouchpointModelStore.channel,
            complaint: "a model is not being learned; trying again"
        ).run { try await self.step() }
    }

    /// Learns one model; false if none waits.
    func step() async throws -> Bool {
        guard let model = try await pool.transaction({ try await TouchpointModelStore($0).claim() }) else {
            return false
        }
        let question: TouchpointModelQuestion
        do { question = try TouchpointModelQuestion(RuleField(model.question)) } catch {
            try await finish(model, failure: "this version can't read what is asked, at `\(error.path)`")
            return true
        }
        guard let examples = try await examples(for: question, of: model) else { return true }
        switch Self.learn(from: examples, question) {
        case .success(let learned):
            try await finish(model, result: learned.json(lookback: question.lookback))
        case .failure(let refusal): try await finish(model, failure: refusal.text)
        }
        return true
    }

    private static func learn(
        from examples: [(profile: ProfileID, example: ConversionExample)], _ question: TouchpointModelQuestion
    ) -> Result<TouchpointModel, TouchpointModel.Refusal> {
        do throws(TouchpointModel.Refusal) {
            return .success(
                try TouchpointModel.learn(
                    from: examples, of: question.touchpoints, penalty: question.penalty))
        } catch { return .failure(error) }
    }

    private func finish(
        _ model: StoredTouchpointModel, result: JSON? = nil, failure: String? = nil
    ) async throws {
        let now = try await clock.now()
        try await pool.withConnection {
            try await TouchpointModelStore($0).finish(model.id, result: result, failure: failure, at: now)
        }
    }

    /// An example of each person of a sample; nil when the model is nobody's any more.
    private func examples(
        for question: TouchpointModelQuestion, of model: StoredTouchpointModel
    ) async throws -> [(profile: ProfileID, example: ConversionExample)]? {
        let now = try await clock.now()
        let asked = ConversionExample.Question(
            conversion: question.conversion, horizon: question.horizon, lookback: question.lookback, now: now)
        var examples: [(profile: ProfileID, example: ConversionExample)] = []
        var examined = 0
        let perShard = (question.people + Shard.count - 1) / Shard.count
        for shard in Shard.all {
            let people = try await pool.transaction { transaction in
                try await PopulationSample.ids(of: shard, limit: perShard, in: transaction)
            }
            for start in stride(from: 0, to: people.count, by: Self.atOnce) {
                let some = people[start..<min(start + Self.atOnce, people.count)]
                let histories = try await pool.transaction { transaction in
                    try await TimelineReading.events(of: some, vault: registry.vault, in: transaction)
                }
                for profile in some {
                    let history = histories[profile, default: []].map(\.event)
                    if let example = ConversionExample(of: profile, history, asked) {
                        examples.append((profile, example))
                    }
                }
                examined += some.count
                let count = examined
                guard
                    try await pool.withConnection({
                        try await TouchpointModelStore($0).advance(model.id, examined: count)
                    })
                else { return nil }
                try Task.checkCancellation()
            }
        }
        return examples
    }
}

extension PopulationSample {
    /// Some people of a shard, the same ones every time.
    static func ids(
        of shard: Shard, limit: Int, in session: some PostgresSession
    ) async throws -> [ProfileID] {
        try await session.query(
            """
            SELECT profile_id FROM profile_state WHERE shard = \(shard) AND state IS NOT NULL
            ORDER BY uuid_hash(profile_id), profile_id LIMIT \(Int64(limit))
            """
        ).map { try $0.get("profile_id") }
    }
}

extension TouchpointModel {
    func json(lookback: Duration) -> JSON {
        [
            "people": .integer(Int64(people)), "converted": .integer(Int64(converted)),
            "touchpoints": .array(
                weights.map { weight in
                    [
                        "touchpoint": weight.touchpoint.json, "people": .integer(Int64(weight.people)),
                        "coefficient": .double(Self.short(weight.coefficient)),
                        "low": .double(Self.short(weight.low)), "high": .double(Self.short(weight.high)),
                        "isClear": .bool(weight.isClear),
                        "oddsRatioOfOnce": .double(Self.short(weight.oddsRatioOfOnce)),
                    ]
                }),
            "heldOut": [
                "people": .integer(Int64(heldOut.people)), "converted": .integer(Int64(heldOut.converted)),
                "logLoss": .double(Self.short(heldOut.logLoss)),
                "baseRateLogLoss": .double(Self.short(heldOut.baseRateLogLoss)),
                "activityLogLoss": .double(Self.short(heldOut.activityLogLoss)),
                "auc": .double(Self.short(heldOut.auc)),
            ],
            "proposal": proposal(lookback: lookback) ?? .null,
        ]
    }

    /// Six places; what nothing is known of has bounds beyond all sense, which JSON can't say as infinity.
    private static func short(_ value: Double) -> Double {
        max(-1e9, min(1e9, (value * 1_000_000).rounded() / 1_000_000))
    }
}

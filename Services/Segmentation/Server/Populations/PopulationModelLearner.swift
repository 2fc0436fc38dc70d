import Logging
import Models
import Postgres
import SegmentationDomain
import ServiceKit
import ServiceLifecycle
import Streams

/// Makes editions of models of a population: reads the events of everybody that they are about and takes the thresholds. What it has read is kept nowhere,
/// so one whose instance dies is begun anew by another.
final class PopulationModelLearner: Service {
    private let pool: PostgresPool
    private let registry: SegmentRegistry
    private let hub: WakeHub
    private let clock: ServiceClock
    private let logger: Logger

    /// People whose events are read in one transaction.
    private static let atOnce = 500

    init(registry: SegmentRegistry, context: ServiceContext) {
        self.registry = registry
        pool = context.pool
        hub = context.hub
        clock = context.clock
        logger = context.logger
    }

    func run() async throws {
        await JobLoop(
            hub: hub, logger: logger, channel: PopulationModelStore.channel,
            complaint: "an edition is not being made; trying again"
        ).run { try await self.step() }
    }

    /// Makes one edition; false if none waits.
    func step() async throws -> Bool {
        guard let model = try await pool.transaction({ try await PopulationModelStore($0).claim() }) else {
            return false
        }
        let now = try await clock.now()
        var population: Population
        do { population = try Population(model.kind, RuleField(model.orders)) } catch {
            try await pool.withConnection {
                try await PopulationModelStore($0).fail(
                    model.id, because: "this version can't read what is asked, at `\(error.path)`", at: now)
            }
            return true
        }
        for _ in 0..<Self.mostBeginnings {
            do {
                guard try await look(at: &population, of: model, at: now) else { return true }
            } catch is ScoreChanged {
                // What was read is of another version than what would follow.
                population = population.anew
                continue
            }
            try await finish(model, population, at: now)
            return true
        }
        try await pool.withConnection {
            try await PopulationModelStore($0).fail(
                model.id, because: "the score changed each time while people were compared; ask again",
                at: now)
        }
        return true
    }

    /// That a score is made up in another way than when the first were compared.
    private struct ScoreChanged: Error {}

    /// How often people are looked at anew, because a score changed meanwhile.
    private static let mostBeginnings = 3

    /// Takes the thresholds and brings the rules to them, all in one transaction.
    private func finish(
        _ model: StoredPopulationModel, _ population: Population, at now: Instant
    ) async throws {
        // All people are compared before the rules are taken hold of, which stops everybody.
        let (made, segments) = population.edition(at: now)
        try await pool.transaction { transaction in
            try await SegmentStore(transaction).lockAlone()
            let store = PopulationModelStore(transaction)
            guard
                try await store.advance(
                    model.id, examined: population.examined, leftOut: population.leftOut)
            else { return }
            guard var edition = made else {
                return try await store.fail(model.id, because: population.emptiness, at: now)
            }
            edition.number = try await store.nextNumber(model.kind, of: model.name)
            try await store.finish(model.id, edition, segments, at: now)
            let set = try await registry.decider(in: transaction).set
            try await EditionRules(transaction).bring(edition, of: model.name, in: set, at: now)
        }
    }

    /// Looks at everybody; false when the model is nobody's any more.
    private func look(
        at population: inout Population, of model: StoredPopulationModel, at now: Instant
    ) async throws -> Bool {
        for shard in Shard.all {
            var last: ProfileID?
            repeat {
                let after = last
                let known = population
                let (people, grown) = try await pool.transaction { transaction in
                    let people = try await Self.people(of: shard, after: after, in: transaction)
                    var grown = known
                    try await add(people, to: &grown, at: now, in: transaction)
                    return (people, grown)
                }
                population = grown
                last = people.count == Self.atOnce ? people.last : nil
                let (count, leftOut) = (population.examined, population.leftOut)
                guard
                    try await pool.withConnection({
                        try await PopulationModelStore($0).advance(
                            model.id, examined: count, leftOut: leftOut)
                    })
                else { return false }
                try Task.checkCancellation()
            } while last != nil
        }
        return true
    }

    private func add(
        _ people: [ProfileID], to population: inout Population, at now: Instant,
        in transaction: PostgresTransaction
    ) async throws {
        guard !people.isEmpty else { return }
        guard let trait = population.trait else {
            return try await addScores(of: people, to: &population, at: now, in: transaction)
        }
        var folds: [ProfileID: ComputedTraitFold] = [:]
        try await TimelineReading.each(
            of: people, wanted: trait.wanted, vault: registry.vault, in: transaction
        ) { profile, entry in
            folds[profile, default: ComputedTraitFold(trait, at: now)].take(entry.event)
        }
        population.add(Array(folds.values), of: people.count)
    }

    private func addScores(
        of people: [ProfileID], to population: inout Population, at now: Instant,
        in transaction: PostgresTransaction
    ) async throws {
        let set = try await registry.decider(in: transaction).set
        let version = set[id: SegmentDefinition.key(ofScore: population.score ?? "")]?.version
        guard population.isOf(version: version) else { throw ScoreChanged() }
        var values: [Int64] = []
        var unread = 0
        for id in people {
            let stored: StateStore.Stored?
            // Whose state does not read keeps nobody else from being compared.
            do { stored = try await StateStore.read(id, registry, in: transaction) } catch is RetryLater {
                unread += 1
                continue
            }
            guard case .state(let state)? = stored else { continue }
            let instant = max(now, state.decidedAt)
            let value = ScoreReading.values(of: state, in: set, at: instant)
                .first { $0.id == population.score }
            if let value { values.append(value.standing.points(at: instant).millionths) }
        }
        population.add(values, of: people.count, leftOut: unread)
    }

    private static func people(
        of shard: Shard, after last: ProfileID?, in transaction: PostgresTransaction
    ) async throws -> [ProfileID] {
        let isFirst = last == nil
        return try await transaction.query(
            """
            SELECT profile_id FROM profile_state
            WHERE shard = \(shard) AND state IS NOT NULL
                AND (\(isFirst)::boolean OR profile_id > \(last)::uuid)
            ORDER BY profile_id LIMIT \(Int64(atOnce))
            """
        ).map { try $0.get("profile_id") }
    }
}

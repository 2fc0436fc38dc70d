import Logging
import Models
import Postgres
import SegmentationDomain
import ServiceKit
import ServiceLifecycle
import Streams

/// Makes editions of models of RFM: reads the orders of everybody and takes the thresholds. What it has read is kept nowhere,
/// so one whose instance dies is begun anew by another.
final class RFMModelLearner: Service {
    private let pool: PostgresPool
    private let registry: SegmentRegistry
    private let hub: WakeHub
    private let clock: ServiceClock
    private let logger: Logger

    /// People whose orders are read in one transaction.
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
            hub: hub, logger: logger, channel: RFMModelStore.channel,
            complaint: "an edition is not being made; trying again"
        ).run { try await self.step() }
    }

    /// Makes one edition; false if none waits.
    func step() async throws -> Bool {
        guard let model = try await pool.transaction({ try await RFMModelStore($0).claim() }) else {
            return false
        }
        let now = try await clock.now()
        let orders: ComputedTrait
        do { orders = try RFMEdition.orders(RuleField(model.orders)) } catch {
            try await pool.withConnection {
                try await RFMModelStore($0).fail(
                    model.id, because: "this version can't read what is asked, at `\(error.path)`", at: now)
            }
            return true
        }
        guard let population = try await population(by: orders, of: model, at: now) else { return true }
        try await finish(model, population, by: orders, at: now)
        return true
    }

    /// Takes the thresholds and brings the rules to them, all in one transaction.
    private func finish(
        _ model: StoredRFMModel, _ population: RFMPopulation, by orders: ComputedTrait, at now: Instant
    ) async throws {
        // All people are compared before the rules are taken hold of, which stops everybody.
        let made = population.edition(1, of: orders, at: now)
        let counts = made.map { population.counts(by: $0) } ?? [:]
        let segments = RFMSegment.allCases.map { ($0.rawValue, JSON.integer(Int64(counts[$0] ?? 0))) }
        try await pool.transaction { transaction in
            try await SegmentStore(transaction).lockAlone()
            let store = RFMModelStore(transaction)
            guard try await store.advance(model.id, examined: population.examined) else {
                return
            }
            guard var edition = made else {
                let time = orders.source.window.text
                return try await store.fail(
                    model.id,
                    because:
                        "nobody has done \(orders.source.events.text)\(time), so there is nothing to compare",
                    at: now)
            }
            edition.number = try await store.nextNumber(of: model.name)
            try await store.finish(
                model.id, edition, .object(Dictionary(segments, uniquingKeysWith: { $1 })), at: now)
            let set = try await registry.decider(in: transaction).set
            try await RFMRules(transaction).bring(edition, of: model.name, in: set, at: now)
        }
    }

    /// What the orders of everybody come to; nil when the model is nobody's any more.
    private func population(
        by orders: ComputedTrait, of model: StoredRFMModel, at now: Instant
    ) async throws -> RFMPopulation? {
        var population = RFMPopulation()
        for shard in Shard.all {
            var last: ProfileID?
            repeat {
                let after = last
                let (people, found) = try await pool.transaction { transaction in
                    let people = try await Self.people(of: shard, after: after, in: transaction)
                    let found = try await standings(of: people, by: orders, at: now, in: transaction)
                    return (people, found)
                }
                population.add(found, of: people.count)
                last = people.count == Self.atOnce ? people.last : nil
                let count = population.examined
                guard
                    try await pool.withConnection({
                        try await RFMModelStore($0).advance(model.id, examined: count)
                    })
                else { return nil }
                try Task.checkCancellation()
            } while last != nil
        }
        return population
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

    private func standings(
        of people: [ProfileID], by orders: ComputedTrait, at now: Instant, in transaction: PostgresTransaction
    ) async throws -> [RFMStanding] {
        guard !people.isEmpty else { return [] }
        var folds: [ProfileID: ComputedTraitFold] = [:]
        try await TimelineReading.each(
            of: people, wanted: orders.wanted, vault: registry.vault, in: transaction
        ) { profile, entry in
            folds[profile, default: ComputedTraitFold(orders, at: now)].take(entry.event)
        }
        return folds.values.compactMap { $0.orders() }
    }
}

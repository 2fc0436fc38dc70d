import Foundation
import Logging
import Models
import Postgres
import SegmentationDomain
import ServiceKit
import ServiceLifecycle
import Streams
import Synchronization

/// Brings the states of all profiles to rules that are new or have changed, shard by shard in the background, and next
/// rules into force when all are.
///
/// Each chunk commits with its position, so work goes on where it stopped, and a profile that is done already is
/// recognised by its state: no change is told twice. Several instances take different shards.
package final class BackfillWorker: Service {
    private let pool: PostgresPool
    private let registry: SegmentRegistry
    private let hub: WakeHub
    private let clock: ServiceClock
    private let logger: Logger
    /// When it was told last why next rules wait.
    private let told = Mutex<ContinuousClock.Instant?>(nil)
    /// How many profiles are taken in one transaction: they stay locked for its time.
    private static let chunk = 200
    /// How many chunks are worked on at once. Beside PostgreSQL on two cores 1, 2 and 3 brought 57,000, 87,000 and 102,000
    /// events a second.
    private static let lanes = 3

    init(registry: SegmentRegistry, context: ServiceContext) {
        self.registry = registry
        pool = context.pool
        hub = context.hub
        clock = context.clock
        logger = context.logger
    }

    package func run() async throws {
        await JobLoop(
            hub: hub, logger: logger, channel: SegmentStore.channel,
            complaint: "backfill is not moving; trying again"
        ).run {
            try await self.round()
        } idle: {
            // A next rule may wait for deadlines, or for another instance.
            let waits = try await self.pool.withConnection {
                let rechecks = try await ConsentReading.hasRechecks(in: $0)
                return try await NextRuleStore($0).isWaiting() || rechecks
            }
            return waits ? .milliseconds(250) : .seconds(30)
        }
    }

    /// Does everything that there is to do now; for tests that step by hand.
    package func drain() async throws {
        while try await step() {}
    }

    /// Does the same as `step`, with the chunks of several shards at once: while the database reads for one, another is
    /// decided.
    private func round() async throws -> Bool {
        if try await switchOver() { return true }
        if try await recheck() { return true }
        if try await bringLeftBehind() { return true }
        return try await withThrowingTaskGroup(of: Bool.self) { lanes in
            for _ in 0..<Self.lanes {
                lanes.addTask {
                    var hasDone = false
                    while !Task.isCancelled, try await self.takeChunk() { hasDone = true }
                    return hasDone
                }
            }
            var hasDone = false
            for try await lane in lanes where lane { hasDone = true }
            return hasDone
        }
    }

    /// Takes one chunk of one shard that is behind, or brings into force what everybody is decided by; false if there is
    /// nothing to do.
    func step() async throws -> Bool {
        if try await switchOver() { return true }
        if try await recheck() { return true }
        if try await bringLeftBehind() { return true }
        return try await takeChunk()
    }

    /// Looks again at the consent of some who were parted, now that the consent service has followed.
    private func recheck() async throws -> Bool {
        guard try await pool.withConnection({ try await ConsentReading.hasRechecks(in: $0) }) else {
            return false
        }
        let now = try await clock.now()
        return try await pool.transaction { transaction in
            let decider = try await self.registry.decider(in: transaction)
            let ready = try await ConsentReading.takeRechecks(in: transaction)
            guard !ready.isEmpty else { return false }
            guard !decider.set.purposes.isEmpty else { return true }
            let profiles = Set(ready.map(\.profile))
            let states = try await StateStore(transaction: transaction, registry: self.registry)
                .lockExisting(profiles)
            var work = MembershipWork(
                decider: decider, states: states, now: now, vault: self.registry.vault, in: transaction)
            try await work.refresh()
            let standing = try await ConsentReading.standing(of: profiles, at: now, in: transaction)
            for (profile, merge) in ready where states[profile] != nil {
                work.replaceConsents(
                    of: profile, with: standing[profile] ?? [], cause: .unmerge(mergeID: merge), nil)
            }
            try await work.write()
            return true
        }
    }

    private func switchOver() async throws -> Bool {
        // Looked at without the lock first: whoever has it keeps everybody from deciding.
        guard try await pool.withConnection({ try await NextRuleStore($0).isReady() }) else { return false }
        let now = try await clock.now()
        if let hindrance = try await pool.withConnection({ try await NextRuleStore($0).hindrance(at: now) }) {
            tell(hindrance)
            return false
        }
        let began = ContinuousClock.now
        let outcome = try await pool.transaction { transaction in
            try await SegmentStore(transaction).lockAlone()
            let set = try await self.registry.decider(in: transaction).set
            return try await NextRuleStore(transaction).bringIntoForce(set.nextGroups, at: now)
        }
        guard case .inForce(let ids) = outcome else { return false }
        let without = try await pool.withConnection { try await LeftBehind.count(in: $0) }
        logger.log(
            level: without > 0 ? .warning : .info,
            without > 0
                ? "changed rules are in force without profiles whose state does not read or deadline cannot be fired"
                : "changed rules are in force",
            metadata: [
                "segments": "\(ids.joined(separator: " "))", "without": "\(without)",
                "milliseconds": "\((ContinuousClock.now - began).milliseconds)",
            ])
        return true
    }

    /// Says once a minute why next rules are not in force yet, though everybody is decided by them.
    private func tell(_ hindrance: NextRuleStore.Hindrance) {
        guard hindrance == .putOff else { return }
        let isDue = told.withLock { last in
            if let last, ContinuousClock.now - last < .seconds(60) { return false }
            last = .now
            return true
        }
        guard isDue else { return }
        logger.warning(
            "changed rules wait for deadlines that cannot be fired; the log says of which profiles, and why")
    }

    /// A chunk that could not be brought to the rules, for somebody in it.
    private struct ChunkFailure: Error {
        let shard: Shard
        let revision: Int64
        let position: ProfileID
        let cause: any Error
    }

    private func takeChunk() async throws -> Bool {
        let now = try await clock.now()
        do { return try await takeChunk(at: now) } catch let failure as ChunkFailure {
            return try await takeOneByOne(failure, at: now)
        }
    }

    /// Brings the profiles of a chunk to the rules each by itself, and leaves behind with whom that does not go.
    private func takeOneByOne(_ failure: ChunkFailure, at now: Instant) async throws -> Bool {
        let ids: [ProfileID] = try await pool.withConnection {
            try await $0.query(
                """
                SELECT profile_id FROM profile_state
                WHERE shard = \(failure.shard) AND profile_id > \(failure.position)
                ORDER BY profile_id LIMIT \(Self.chunk)
                """
            ).map { try $0.get("profile_id") }
        }
        var failed: [ProfileID] = []
        for id in ids where try await !bring(id, at: now) { failed.append(id) }
        // Where that goes with none, it may be nobody's own fault; it is if it goes with others elsewhere.
        guard let last = ids.last else { throw failure.cause }
        if failed.count > 1, failed.count == ids.count, try await !bringsAnybody(besides: failed, at: now) {
            throw failure.cause
        }
        let left = failed
        try await pool.transaction { transaction in
            if !left.isEmpty { try await LeftBehind.add(left, at: now, in: transaction) }
            _ = try await transaction.query(
                """
                UPDATE backfill SET revision = \(failure.revision), position = \(last)
                WHERE shard = \(failure.shard) AND (revision < \(failure.revision)
                    OR revision = \(failure.revision) AND coalesce(position, \(Self.first)) <= \(failure.position))
                """)
        }
        return true
    }

    /// Whether somebody of other chunks can be brought to the rules: the first of some shards are tried.
    private func bringsAnybody(besides failed: [ProfileID], at now: Instant) async throws -> Bool {
        let others: [ProfileID] = try await pool.withConnection {
            try await $0.query(
                """
                SELECT f.profile_id FROM unnest(\(Shard.all.map { $0 })::smallint[]) AS s (shard)
                CROSS JOIN LATERAL (
                    SELECT profile_id FROM profile_state
                    WHERE shard = s.shard AND state IS NOT NULL AND profile_id <> ALL(\(failed)::uuid[])
                    ORDER BY profile_id LIMIT 1) AS f
                """
            ).map { try $0.get("profile_id") }
        }
        for id in others where try await bring(id, at: now) { return true }
        return false
    }

    /// Brings one profile to the rules; false where that does not go for its own sake.
    private func bring(_ id: ProfileID, at now: Instant) async throws -> Bool {
        do {
            try await pool.transaction { transaction in
                let decider = try await self.registry.decider(in: transaction)
                let states = try await StateStore(transaction: transaction, registry: self.registry)
                    .lockExisting([id])
                var work = MembershipWork(
                    decider: decider, states: states, now: now, vault: self.registry.vault, in: transaction)
                try await work.refresh()
                try await work.write()
            }
            return true
        } catch {
            guard DeadlineWorker.mayBeOfOne(error) else { throw error }
            logger.warning(
                "a profile cannot be brought to changed rules; they come into force without it, and it is tried again",
                metadata: ["profile": "\(id)", "error": "\(error)"])
            return false
        }
    }

    /// Tries those again who were left behind; false if none of them has come along.
    private func bringLeftBehind() async throws -> Bool {
        let now = try await clock.now()
        var isMoving = false
        for id in try await pool.withConnection({ try await LeftBehind.due(at: now, in: $0) }) {
            if try await bring(id, at: now) {
                try await pool.withConnection { try await LeftBehind.remove(id, in: $0) }
                isMoving = true
            } else {
                try await pool.withConnection { try await LeftBehind.add([id], at: now, in: $0) }
            }
        }
        return isMoving
    }

    private func takeChunk(at now: Instant) async throws -> Bool {
        try await pool.transaction { transaction in
            let decider = try await self.registry.decider(in: transaction)
            let revision = decider.set.revision
            guard
                let row = try await transaction.query(
                    """
                    SELECT shard, revision, position FROM backfill
                    WHERE revision < \(revision) OR position IS NOT NULL
                    ORDER BY position IS NULL, revision, shard LIMIT 1 FOR UPDATE SKIP LOCKED
                    """
                ).first
            else { return false }
            let shard: Shard = try row.get("shard")
            // A shard that is behind an even newer revision starts again; what is done is passed over quickly.
            let isSame = try row.get("revision", as: Int64.self) == revision
            let position = isSame ? try row.get("position", as: ProfileID?.self) : nil
            let profiles: [(ProfileID, StateStore.Stored)]
            do {
                profiles = try await StateStore(transaction: transaction, registry: self.registry)
                    .lockNext(in: shard, after: position ?? Self.first, limit: Self.chunk)
                let states = Dictionary(
                    profiles.map { ($0.0, $0.1) }, uniquingKeysWith: { first, _ in first })
                var work = MembershipWork(
                    decider: decider, states: states, now: now, vault: self.registry.vault, in: transaction)
                try await work.refresh()
                try await work.write()
            } catch  where DeadlineWorker.mayBeOfOne(error) {
                throw ChunkFailure(
                    shard: shard, revision: revision, position: position ?? Self.first, cause: error)
            }
            let reached = profiles.count == Self.chunk ? profiles.last?.0 : nil
            _ = try await transaction.pipeline([
                StateLayouts.write(decider.set),
                """
                UPDATE backfill SET revision = \(revision), position = \(reached),
                    done = CASE WHEN \(reached == nil)::boolean THEN \(revision) ELSE done END
                WHERE shard = \(shard)
                """,
                StateLayouts.sweep,
            ])
            return true
        }
    }

    /// Before every profile.
    private static let first = ProfileID(UUID(uuid: (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)))
}

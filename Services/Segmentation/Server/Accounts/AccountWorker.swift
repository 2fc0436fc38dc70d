import Foundation
import Logging
import Models
import Postgres
import Sealing
import SegmentationDomain
import ServiceKit
import ServiceLifecycle
import Streams

/// Tells the members of an account what another of them said, some in one transaction: an account may have a hundred
/// thousand. One instance does it at a time.
package final class AccountWorker: Service {
    private let pool: PostgresPool
    private let registry: SegmentRegistry
    private let hub: WakeHub
    private let clock: ServiceClock
    private let history: HistoryWatch
    private let facts: FactsFirst
    private let logger: Logger
    /// How many members are taken in one transaction.
    private static let chunk = 200
    /// How many places of the timeline are looked through in one transaction.
    private static let page: Int64 = 5_000
    /// The advisory lock of whoever does this work.
    private static let lock: Int64 = 0x6163_636f_756e_7473

    /// The facts that there are when something is to be told go first, those of `consumers`.
    init(
        registry: SegmentRegistry, history: HistoryWatch, after consumers: [StreamConsumer],
        context: ServiceContext
    ) {
        self.history = history
        facts = FactsFirst(consumers)
        self.registry = registry
        pool = context.pool
        hub = context.hub
        clock = context.clock
        logger = context.logger
    }

    package func run() async throws {
        await JobLoop(
            hub: hub, logger: logger, channel: AccountStore.channel,
            complaint: "members of accounts are not told of changes; trying again"
        ).run {
            // Nobody signals that facts have been processed, or that an import has ended.
            if let pause = try await self.pause() {
                try await Task.sleep(for: pause)
                return true
            }
            return try await self.step()
        }
    }

    /// How long to wait before it is asked again, where telling now would make facts late that are there already, or that an
    /// import is bringing; that may take hours. Nil where it would not.
    private func pause() async throws -> Duration? {
        guard try await pool.withConnection({ try await AccountStore.hasChanges(in: $0) }) else { return nil }
        if try await history.isReading() { return .seconds(1) }
        return try await facts.haveBeenProcessed() ? nil : .milliseconds(50)
    }

    /// Does everything that there is to do now; for tests that step by hand.
    package func drain() async throws {
        while try await step() {}
    }

    /// Takes some members of one account, or some group calls of before there was this; false if there is nothing to do.
    package func step() async throws -> Bool {
        let now = try await clock.now()
        do {
            return try await pool.transaction { transaction in
                guard try await Self.isMine(in: transaction) else { return false }
                if try await self.readAnew(at: now, in: transaction) { return true }
                return try await self.tellSome(at: now, in: transaction)
            }
        } catch let failure as PageFailure { return try await tellOneByOne(failure, at: now) }
    }

    private static func isMine(in transaction: PostgresTransaction) async throws -> Bool {
        let row = try await transaction.query("SELECT pg_try_advisory_xact_lock(\(lock)) AS mine").first
        return try row?.get("mine") ?? false
    }

    /// Members that could not be told together, for somebody among them.
    private struct PageFailure: Error {
        let shard: Shard
        let group: String
        let members: [ProfileID]
    }

    /// Tells members each by themselves; whom that does not go with are told with all others once more in a minute.
    private func tellOneByOne(_ failure: PageFailure, at now: Instant) async throws -> Bool {
        var failed: [ProfileID] = []
        for member in failure.members {
            do {
                let isMine = try await pool.transaction { transaction in
                    guard try await Self.isMine(in: transaction) else { return false }
                    let decider = try await self.registry.decider(in: transaction)
                    try await self.tell([member], of: failure.group, by: decider, at: now, in: transaction) {}
                    return true
                }
                guard isMine else { return false }
            } catch {
                guard DeadlineWorker.mayBeOfOne(error) else { throw error }
                failed.append(member)
                logger.warning(
                    "a member of an account cannot be told of what changed there; it is tried again in a minute",
                    metadata: ["profile": "\(member)", "error": "\(error)"])
            }
        }
        let mustRetry = !failed.isEmpty
        try await pool.transaction { transaction in
            guard try await Self.isMine(in: transaction) else { return }
            if mustRetry {
                _ = try await transaction.query(
                    """
                    UPDATE account_change SET again = true, since = clock_timestamp() + interval '60 seconds'
                    WHERE shard = \(failure.shard) AND group_id = \(failure.group)
                    """)
            }
            try await self.advance(
                failure.shard, failure.group,
                to: failure.members.count == Self.chunk ? failure.members.last : nil, in: transaction)
        }
        return true
    }

    /// Before the states are locked its row must not be: whoever changes an account waits for it with states in hand.
    private func tellSome(at now: Instant, in transaction: PostgresTransaction) async throws -> Bool {
        let row = try await transaction.query(
            """
            SELECT shard, group_id, position FROM account_change
            WHERE position IS NOT NULL OR since <= clock_timestamp()
            ORDER BY position IS NULL, since, shard, group_id LIMIT 1
            """
        ).first
        guard let row else { return false }
        let (shard, group): (Shard, String) = (try row.get("shard"), try row.get("group_id"))
        guard let position = try row.get("position", as: ProfileID?.self) else {
            // From here on what changes takes another round.
            _ = try await transaction.query(
                """
                UPDATE account_change SET position = \(Self.first), again = false
                WHERE shard = \(shard) AND group_id = \(group)
                """)
            return true
        }
        let decider = try await registry.decider(in: transaction)
        guard !decider.set.accountTraits.isEmpty else {
            // Nobody asks; who does later reads what stands by then.
            try await advance(shard, group, to: nil, in: transaction)
            return true
        }
        let members: [ProfileID] = try await transaction.query(
            """
            SELECT profile_id FROM account_member
            WHERE shard = \(shard) AND group_id = \(group) AND profile_id > \(position)
            ORDER BY profile_id LIMIT \(Self.chunk)
            """
        ).map { try $0.get("profile_id") }
        do {
            try await tell(members, of: group, by: decider, at: now, in: transaction) {
                // Between the states and the stream's heads, as whoever changes an account has it.
                try await self.advance(
                    shard, group, to: members.count == Self.chunk ? members.last : nil, in: transaction)
            }
        } catch  where DeadlineWorker.mayBeOfOne(error) {
            throw PageFailure(shard: shard, group: group, members: members)
        }
        return true
    }

    /// Tells members of an account what is known of it; `advance` notes it once their states are locked.
    private func tell(
        _ members: [ProfileID], of group: String, by decider: SegmentDecider, at now: Instant,
        in transaction: PostgresTransaction, advance: () async throws -> Void
    ) async throws {
        let before = try await ConsentReading.people(of: Set(members), in: transaction).canonical
        let states = try await StateStore(transaction: transaction, registry: registry)
            .lockExisting(Set(before.keys).union(before.values))
        // Only now, under the locks: whoever was erased or merged before is known to be.
        let people = try await ConsentReading.people(of: Set(members), in: transaction).canonical
        let known = try await AccountStore.traits(
            of: [group], named: decider.set.accountTraits, vault: registry.vault, in: transaction)[group]
        try await advance()
        guard let known else { return }
        var work = MembershipWork(
            decider: decider, states: states, now: now, vault: registry.vault, in: transaction)
        try await work.refresh()
        var told: Set<ProfileID> = []
        for member in members {
            guard let canonical = people[member], let profile = work.holder(of: member, or: canonical),
                told.insert(profile).inserted
            else { continue }
            work.take(known, of: group, by: profile)
        }
        try await work.write()
    }

    /// Notes how far the members are told; at the end they are told once more if something has changed since.
    private func advance(
        _ shard: Shard, _ group: String, to reached: ProfileID?, in transaction: PostgresTransaction
    ) async throws {
        if let reached {
            _ = try await transaction.query(
                """
                UPDATE account_change SET position = \(reached) WHERE shard = \(shard) AND group_id = \(group)
                """)
            return
        }
        _ = try await transaction.pipeline([
            "DELETE FROM account_change WHERE shard = \(shard) AND group_id = \(group) AND NOT again",
            """
            UPDATE account_change
            SET position = NULL, again = false, since = greatest(since, clock_timestamp())
            WHERE shard = \(shard) AND group_id = \(group)
            """,
        ])
    }

    /// Reads some of the group calls that were read by a version which did not keep accounts.
    private func readAnew(at now: Instant, in transaction: PostgresTransaction) async throws -> Bool {
        let row = try await transaction.query(
            "SELECT shard, position, until FROM account_reading ORDER BY shard LIMIT 1"
        ).first
        guard let row else { return false }
        let (shard, position, until): (Shard, Int64, Int64) = (
            try row.get("shard"), try row.get("position"), try row.get("until")
        )
        let end = min(until, position + Self.page)
        let entries = try await TimelineReading.groupCalls(
            in: shard, after: position, upTo: end, vault: registry.vault, in: transaction)
        let names = try await registry.decider(in: transaction).set.accountTraits
        var book = try await AccountBook.open(
            for: entries.map(\.event), asking: names, vault: registry.vault, in: transaction)
        for entry in entries {
            book.take(
                entry.event, at: SegmentDecider.instant(of: entry.event), under: entry.arrivedUnder)
            // Who is a member by this call was shown nothing of the account.
            book.tellAll(of: entry.event)
        }
        var statements = try book.writes(under: try await registry.vault.days.key(at: now))
        statements.append(
            end < until
                ? "UPDATE account_reading SET position = \(end) WHERE shard = \(shard)"
                : "DELETE FROM account_reading WHERE shard = \(shard)")
        _ = try await transaction.pipeline(statements)
        return true
    }

    /// Before every profile.
    private static let first = ProfileID(UUID(uuid: (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)))
}

import Logging
import Models
import Postgres
import ProfileStore
import SegmentationDomain
import ServiceKit
import ServiceLifecycle
import Streams

/// Follows the consent policy: what it says that segments need becomes part of their rules. It is looked at once a second.
package final class PolicyFollower: Service {
    private let pool: PostgresPool
    private let registry: SegmentRegistry
    private let policies: ConsentPolicies
    private let hub: WakeHub
    private let clock: ServiceClock
    private let logger: Logger

    init(registry: SegmentRegistry, policies: ConsentPolicies, context: ServiceContext) {
        (self.registry, self.policies) = (registry, policies)
        pool = context.pool
        hub = context.hub
        clock = context.clock
        logger = context.logger
    }

    package func run() async throws {
        await JobLoop(
            hub: hub, logger: logger, channel: SegmentStore.channel,
            complaint: "rules do not follow the consent policy; trying again"
        ).run {
            try await self.step()
        } idle: {
            .seconds(1)
        }
    }

    /// Brings the rules to the policy in force; false if they are.
    @discardableResult
    package func step() async throws -> Bool {
        let isBehind = try await pool.withConnection { connection in
            guard let current = try await self.policies.recentIfAny(.zero, in: connection) else {
                return false
            }
            return try await PolicyRules.version(in: connection) != current.version
        }
        guard isBehind else { return false }
        let now = try await clock.now()
        try await pool.transaction { transaction in
            try await SegmentStore(transaction).lockAlone()
            // Read again under the lock, so that nobody brings them back to an older one.
            guard let current = try await self.policies.recentIfAny(.zero, in: transaction) else { return }
            let set = try await self.registry.decider(in: transaction).set
            try await PolicyRules(transaction).bring(current, in: set, at: now)
        }
        return true
    }
}

import ConsentDomain
import Models
import Postgres
import ProfileStore
import SegmentationDomain
import Streams

typealias ConsentPolicies = ConsentPolicyReader<ConsentPolicy>

extension ConsentPolicyReader where Policy == ConsentPolicy {
    convenience init() { self.init { try ConsentPolicy(json: $0) } }
}

/// What the consent policy says that segments need, and how that is put around their rules.
struct PolicyRules {
    let transaction: PostgresTransaction

    private static let page = 200

    init(_ transaction: PostgresTransaction) { self.transaction = transaction }

    /// A rule that was just written, as the policy in force has it for the segment.
    func written(_ condition: Condition, as id: String, by policies: ConsentPolicies) async throws
        -> Condition
    {
        guard let current = try await policies.recentIfAny(.zero, in: transaction) else { return condition }
        return condition.permitted(by: current.policy, as: id)
    }

    /// The version of the policy that all rules have been brought to.
    static func version(in session: some PostgresSession) async throws -> Int64? {
        try await session.query("SELECT policy_version FROM segment_set").first?
            .get("policy_version", as: Int64?.self)
    }

    /// Gives the rules of which the policy says otherwise than before their next version. They come into force together,
    /// when everybody is decided by them. Needs the lock of the set of rules.
    func bring(_ current: ConsentPolicies.Current, in set: SegmentSet, at now: Instant) async throws {
        let store = SegmentStore(transaction)
        var changed: [(segment: StoredSegment, rule: JSON)] = []
        var last: String?
        repeat {
            let some = try await store.segments(after: last, limit: Self.page)
            for segment in some {
                let rule = segment.next?.rule ?? segment.rule
                let wanted = try Self.read(rule, of: segment.id)
                    .permitted(by: current.policy, as: segment.id).json
                if wanted != rule { changed.append((segment, wanted)) }
            }
            last = some.count == Self.page ? some.last?.id : nil
        } while last != nil
        let ids = Set(changed.map(\.segment.id))
        // Whoever looks at one of them and has a next rule waits as well.
        let companions = set.nextGroups.filter { !$0.isDisjoint(with: ids) }
            .reduce(into: ids) { $0.formUnion($1) }
        for (segment, rule) in changed {
            try await store.store(
                id: segment.id, name: segment.name, description: segment.description, rule: rule,
                companions: [], at: now)
        }
        if !changed.isEmpty {
            // Once for all of them: what they see of each other is another rule now.
            let revision: Int64? = try await transaction.query("SELECT revision FROM segment_set").first?
                .get("revision")
            if let revision { try await NextRuleStore(transaction).waitAnew(companions, for: revision) }
        }
        _ = try await transaction.query("UPDATE segment_set SET policy_version = \(current.version)")
    }

    private static func read(_ rule: JSON, of id: String) throws -> Condition {
        do { return try RuleReader.read(stored: rule) } catch {
            let path = error.problems.first?.path.description ?? ""
            throw RetryLater("the rule of segment \(id) cannot be read by this version, at `\(path)`")
        }
    }
}

import Models
import Postgres
import SegmentationDomain
import Streams

/// Rules that name models of RFM, and the editions that are written into them.
struct RFMRules {
    let transaction: PostgresTransaction

    init(_ transaction: PostgresTransaction) { self.transaction = transaction }

    /// A rule that was just written, by the editions in force of the models that it names.
    func written(_ condition: Condition) async throws -> Condition {
        let models = Set(condition.rfmModels().map(\.model))
        guard !models.isEmpty else { return condition }
        let editions = try await RFMModelStore(transaction).editions(of: models)
        do { return try condition.byEditionsInForce(editions) } catch { throw Self.unreadable(error) }
    }

    private static func unreadable(_ error: InvalidRule) -> RetryLater {
        let path = error.problems.first?.path.description ?? ""
        return RetryLater(
            "a rule with an edition of an RFM model cannot be read by this version, at `\(path)`")
    }

    /// The segments whose rules, those in force or their next ones, name a model.
    func users(of model: String, in set: SegmentSet) -> [String] {
        Set(
            [set.inForce, set.upcoming].flatMap { $0 }
                .filter { $0.isSegment && $0.rule.condition.rfmModels().contains { $0.model == model } }
                .map(\.id)
        ).sorted()
    }

    /// Gives the rules that name a model their next version, by a new edition. They come into force together, when everybody
    /// is decided by them. Needs the lock of the set of rules.
    func bring(_ edition: RFMEdition, of model: String, in set: SegmentSet, at now: Instant) async throws {
        let store = SegmentStore(transaction)
        let users = users(of: model, in: set)
        // Whoever looks at one of them and has a next rule waits as well.
        let companions = set.nextGroups.filter { !$0.isDisjoint(with: users) }
            .reduce(into: Set(users)) { $0.formUnion($1) }
        for id in users {
            guard let segment = try await store.segment(id) else { continue }
            let rule = segment.next?.rule ?? segment.rule
            let next: Condition
            do {
                let old = try RuleReader.read(stored: rule)
                next = old.replacingRule(with: try old.asWritten.by(edition, of: model))
            } catch {
                throw Self.unreadable(error)
            }
            try await store.store(
                id: id, name: segment.name, description: segment.description, rule: next.json,
                companions: companions.subtracting([id]), at: now)
        }
    }
}

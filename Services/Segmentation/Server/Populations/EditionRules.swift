import Models
import Postgres
import SegmentationDomain
import Streams

/// Rules that name models of a population, and the editions that are written into them.
struct EditionRules {
    let transaction: PostgresTransaction

    init(_ transaction: PostgresTransaction) { self.transaction = transaction }

    /// A rule that was just written, by the editions in force of the models that it names.
    func written(_ condition: Condition) async throws -> Condition {
        let named = condition.models()
        guard !named.isEmpty else { return condition }
        var editions: [PopulationModelKind: [String: JSON]] = [:]
        for kind in PopulationModelKind.allCases {
            let models = Set(named.filter { $0.kind == kind }.map(\.model))
            editions[kind] = try await PopulationModelStore(transaction).latest(kind, of: models)
        }
        do { return try condition.byEditions { kind, model, _ in editions[kind]?[model] } } catch {
            throw Self.unreadable(error)
        }
    }

    private static func unreadable(_ error: InvalidRule) -> RetryLater {
        let path = error.problems.first?.path.description ?? ""
        return RetryLater(
            "a rule with an edition of a model cannot be read by this version, at `\(path)`")
    }

    /// The segments whose rules, those in force or their next ones, are so.
    static func segments(in set: SegmentSet, where isMeant: (Condition) -> Bool) -> [String] {
        Set(
            [set.inForce, set.upcoming].flatMap { $0 }
                .filter { $0.isSegment && isMeant($0.rule.condition) }
                .map(\.id)
        ).sorted()
    }

    /// Gives the rules that name a model their next version, by a new edition. They come into force together, when everybody
    /// is decided by them. Needs the lock of the set of rules.
    func bring(
        _ edition: PopulationEdition, of model: String, in set: SegmentSet, at now: Instant
    ) async throws {
        let users = Self.segments(in: set) {
            $0.models().contains { $0.kind == edition.kind && $0.model == model }
        }
        try await rewrite(users, in: set, at: now) { rule throws(InvalidRule) in
            try rule.byEditions { kind, name, old in
                kind == edition.kind && name == model ? edition.json : old
            }
        }
    }

    /// Gives the rules of some segments, as they are written, their next version.
    func rewrite(
        _ users: [String], in set: SegmentSet, at now: Instant,
        _ change: (Condition) throws(InvalidRule) -> Condition
    ) async throws {
        let store = SegmentStore(transaction)
        // Whoever looks at one of them and has a next rule waits as well.
        let companions = set.nextGroups.filter { !$0.isDisjoint(with: users) }
            .reduce(into: Set(users)) { $0.formUnion($1) }
        for id in users {
            guard let segment = try await store.segment(id) else { continue }
            let rule = segment.next?.rule ?? segment.rule
            let next: Condition
            do {
                let old = try RuleReader.read(stored: rule)
                next = old.replacingRule(with: try change(old.asWritten))
            } catch {
                throw Self.unreadable(error)
            }
            try await store.store(
                id: id, name: segment.name, description: segment.description, rule: next.json,
                companions: companions.subtracting([id]), at: now)
        }
    }
}

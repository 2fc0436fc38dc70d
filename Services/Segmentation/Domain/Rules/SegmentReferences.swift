import Models

/// Which segments look at which.
package struct SegmentReferences: Sendable {
    /// What each segment's rule names: segments by their ids, other things by their keys.
    private let named: [String: Set<String>]
    /// The segments whose rules name each of these.
    private var users: [String: Set<String>] = [:]
    /// The same, each as often as it is named.
    private let uses: [String: [String]]
    private let sizes: [String: Int]
    /// The rules that are not in force yet.
    private let next: Set<String>
    /// The segments that do not lead back to themselves, and that are not too large with all that they look at.
    private(set) var sound: Set<String> = []

    init(_ segments: [SegmentDefinition]) {
        self.init(segments.map { ($0.id, $0.rule.condition) })
    }

    private init(_ rules: [(id: String, condition: Condition)]) {
        let next = Set(rules.lazy.map(\.id).filter { SegmentDefinition.segment(ofNext: $0) != nil })
        self.next = next
        uses = Dictionary(
            rules.map { id, condition in
                let named = condition.references().map(\.reference.key)
                return (id, next.contains(id) ? named.map { Self.upcoming($0, among: next) } : named)
            }, uniquingKeysWith: { first, _ in first })
        named = uses.mapValues { Set($0) }
        sizes = Dictionary(
            rules.map { ($0.id, $0.condition.size) }, uniquingKeysWith: { first, _ in first })
        for (id, others) in named {
            for other in others { users[other, default: []].insert(id) }
        }
        var totals: [String: Int?] = [:]
        for rule in rules where total(rule.id, &totals) != nil { sound.insert(rule.id) }
    }

    /// How many conditions are looked at to decide a segment; nil while that is being found out, which means that it
    /// leads back to itself, and if it is too many.
    private func total(_ id: String, _ totals: inout [String: Int?]) -> Int? {
        if let known = totals[id] { return known }
        totals[id] = .some(nil)
        var total = sizes[id] ?? 0
        for other in uses[id] ?? [] where named[other] != nil {
            guard let part = self.total(other, &totals) else { return nil }
            total += part
            guard total <= RuleLimits.referredConditions else { return nil }
        }
        totals[id] = total
        return total
    }

    private static func upcoming(_ id: String, among next: Set<String>) -> String {
        let upcoming = SegmentDefinition.nextID(of: id)
        return next.contains(upcoming) ? upcoming : id
    }

    /// What a rule that is not in force yet means by a segment's id: its next rule if it has one.
    func upcoming(_ id: String) -> String { Self.upcoming(id, among: next) }

    /// Some of the next rules, those together that look at each other, directly or through others of them, or whose rules in
    /// force do so: if one of these came into force alone, the other would change without its own.
    func groups(of ids: Set<String>) -> [Set<String>] {
        var groups: [Set<String>] = []
        for id in ids.sorted() {
            let inForce = SegmentDefinition.segment(ofNext: id).flatMap { named[$0] } ?? []
            let near = (named[id] ?? []).union(inForce.map { upcoming($0) }).intersection(ids).union([id])
            let joined = groups.filter { !$0.isDisjoint(with: near) }.reduce(near) { $0.union($1) }
            groups = groups.filter { $0.isDisjoint(with: near) } + [joined]
        }
        return groups
    }

    /// All segments that look at one of these, directly or through others.
    func dependents(of ids: Set<String>) -> Set<String> {
        var found: Set<String> = []
        var next = ids
        while !next.isEmpty {
            // An event asks this, so only those are looked at that are looked for.
            let above = next.reduce(into: Set<String>()) { $0.formUnion(users[$1] ?? []) }
            next = above.subtracting(found)
            found.formUnion(next)
        }
        return found
    }

    /// What is wrong with the references of a rule that is to be stored as `id` beside these segments: one to a segment
    /// that does not exist, or to one that leads back.
    package static func problems(
        of condition: Condition, as id: String, among segments: [SegmentDefinition],
        at path: RulePath = RulePath()
    ) -> [RuleProblem] {
        let others = segments.filter { $0.id != id }
        let references = SegmentReferences(others.map { ($0.id, $0.rule.condition) } + [(id, condition)])
        return condition.references(at: path).compactMap { reference, path in
            let other = reference.key
            if other == id { return RuleProblem(path, expected: "\(reference.noun) other than this one") }
            guard references.named[other] != nil else {
                return RuleProblem(path, expected: "the id of \(reference.noun) that exists")
            }
            if let way = references.way(from: other, to: id) {
                return RuleProblem(
                    path,
                    expected: "\(reference.noun) that does not lead back: \(words([id] + way))")
            }
            guard references.sound.contains(id) else {
                return RuleProblem(
                    path,
                    expected:
                        "\(reference.noun) with which no more than \(RuleLimits.referredConditions) conditions are looked at"
                )
            }
            return nil
        }
    }

    /// A way of references in words; a stage and its rule are one there.
    private static func words(_ way: [String]) -> String {
        way.map(SegmentDefinition.words).reduce(into: [String]()) { if $0.last != $1 { $0.append($1) } }
            .joined(separator: " → ")
    }

    /// The segments whose rules name something.
    package static func users(of reference: Reference, among segments: [SegmentDefinition]) -> [String] {
        segments.filter { segment in
            segment.id != reference.key
                && segment.rule.condition.references().contains { $0.reference == reference }
        }.map(\.id).sorted()
    }

    /// The segments whose rules name this one.
    package static func users(of id: String, among segments: [SegmentDefinition]) -> [String] {
        users(of: .segment(id), among: segments)
    }

    /// A shortest way of references from one segment to another.
    private func way(from start: String, to end: String) -> [String]? {
        var ways = [[start]]
        var seen: Set<String> = [start]
        while !ways.isEmpty {
            var longer: [[String]] = []
            for way in ways {
                guard let last = way.last else { continue }
                if last == end { return way }
                for next in (named[last] ?? []).sorted() where seen.insert(next).inserted {
                    longer.append(way + [next])
                }
            }
            ways = longer
        }
        return nil
    }
}

extension Condition {
    /// What a rule names, each with its place.
    func references(at path: RulePath = RulePath()) -> [(reference: Reference, path: RulePath)] {
        switch kind {
        case .group(let group):
            let path = path.appending(type(of: group).key)
            return group.conditions.enumerated().flatMap { index, condition in
                // `not` has its condition without a list.
                condition.references(at: group is Not ? path : path.appending("\(index)"))
            }
        case .leaf(let leaf):
            guard let condition = leaf as? any ReferenceOperator else { return [] }
            let place = path.appending(type(of: condition).key)
            // Written alone, or as a member beside others.
            return condition.references.map {
                ($0, condition.json.string == nil ? place.appending("id") : place)
            }
        }
    }

    /// How many conditions it has, groups included. What a policy asks for it does not count: a rule that was taken must
    /// not become too large by it.
    var size: Int {
        switch asWritten.kind {
        case .group(let group): 1 + group.conditions.reduce(0) { $0 + $1.size }
        case .leaf: 1
        }
    }
}

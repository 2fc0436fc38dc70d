/// What was said of a trait whose rule needs more than the value said last: every value with when it was said first
/// and last, as far as it can still matter. Taking in is commutative, associative and idempotent, so that neither the
/// order of events nor that of merges makes a difference.
package struct TraitHistory: Hashable, Sendable {
    package typealias Stamp = EffectiveTraits.Stamp

    /// A value that a source has said.
    package struct Claim: Hashable, Sendable {
        package var value: JSON
        /// By which it was said last.
        package var rule: TraitRule
        package var sourceID: SourceID?
        package var first: Stamp
        package var last: Stamp
    }

    /// So many values of one trait are kept of a profile, and no more than so many bytes of them; those that hold are
    /// kept before others.
    package static let mostClaims = 100
    package static let mostBytes = 64 << 10

    /// In the order of `precedes`.
    package private(set) var claims: [Claim] = []
    /// When the trait was removed last.
    package private(set) var removed: Stamp?

    private init() {}

    /// What one event says. The elements of a list are claims of their own where the rule joins them.
    package init(_ value: JSON, at stamp: Stamp, from sourceID: SourceID?, by rule: TraitRule) {
        if value.isNull {
            removed = stamp
            return
        }
        let values: [JSON] = if rule == .union, let elements = value.array { elements } else { [value] }
        for value in values where !value.isNull {
            add(Claim(value: value, rule: rule, sourceID: sourceID, first: stamp, last: stamp))
        }
        settle()
    }

    /// Takes in everything that another profile, or a later event, knows.
    package mutating func merge(_ other: TraitHistory) {
        if let theirs = other.removed { removed = removed.map { max($0, theirs) } ?? theirs }
        for claim in other.claims { add(claim) }
        settle()
    }

    private mutating func add(_ claim: Claim) {
        guard
            let place = claims.firstIndex(where: { $0.value == claim.value && $0.sourceID == claim.sourceID })
        else {
            claims.append(claim)
            return
        }
        claims[place].first = min(claims[place].first, claim.first)
        guard claim.last > claims[place].last else { return }
        claims[place].last = claim.last
        claims[place].rule = claim.rule
    }

    /// The rule in force: that of the event that came last.
    package var rule: TraitRule { claims.max { $0.last < $1.last }?.rule ?? .latest }

    /// Leaves out what can't hold any more, whatever comes, and puts the rest in order.
    private mutating func settle() {
        let rule = rule
        // Where it matters when a value was said first, a value that is away is remembered for that: it may be said
        // again, before or after its removal has arrived.
        let keepsAll = rule == .first || rule == .union
        let candidates = (keepsAll ? claims : claims.filter(isAlive)).sorted { left, right in
            let isAlive = (isAlive(left), isAlive(right))
            return isAlive.0 != isAlive.1 ? isAlive.0 : Self.precedes(left, right, by: rule)
        }
        var kept: [Claim] = []
        var bytes = 0
        for claim in candidates {
            // One that comes later in order and was said no later can never hold.
            if !keepsAll, kept.contains(where: { $0.last >= claim.last }) { continue }
            bytes += claim.value.compact.utf8.count
            guard kept.isEmpty || kept.count < Self.mostClaims && bytes <= Self.mostBytes else { break }
            kept.append(claim)
        }
        claims = kept
    }

    private func isAlive(_ claim: Claim) -> Bool { removed.map { claim.last > $0 } ?? true }

    /// The claims whose value holds: one, or of a union all.
    package var holding: [Claim] {
        let alive = claims.prefix { isAlive($0) }
        return Array(rule == .union ? alive : alive.prefix(1))
    }

    /// The value that holds, with the event that it is of; of a union the event that added the last of it. Null where
    /// nothing is left after a removal; nil where nothing was ever said.
    package var effective: (value: JSON, stamp: Stamp, sourceID: SourceID?)? {
        let holding = holding
        guard let best = holding.first else { return removed.map { (.null, $0, nil) } }
        switch rule {
        case .latest, .priority, .maximum: return (best.value, best.last, best.sourceID)
        case .first: return (best.value, best.first, best.sourceID)
        case .union:
            var values: [JSON] = []
            var newest = best
            for claim in holding where !values.contains(claim.value) {
                values.append(claim.value)
                newest = claim
            }
            return (.array(values), newest.first, newest.sourceID)
        }
    }

    // MARK: The rules

    /// Which of two claims is the better; of every two that differ one is.
    private static func precedes(_ left: Claim, _ right: Claim, by rule: TraitRule) -> Bool {
        switch rule {
        case .latest: break
        case .first, .union:
            if left.first != right.first { return left.first < right.first }
        case .maximum:
            if let isLess = isLess(right.value, left.value) { return isLess }
        case .priority:
            if rank(left) != rank(right) { return rank(left) < rank(right) }
        }
        if left.last != right.last { return left.last > right.last }
        let (one, other) = (left.value.compact, right.value.compact)
        if one != other { return one.precedesInUTF8(other) }
        return (left.sourceID?.description ?? "").precedesInUTF8(right.sourceID?.description ?? "")
    }

    private static func rank(_ claim: Claim) -> Int {
        if case .priority(let rank) = claim.rule { rank } else { .max }
    }

    /// Nil where neither is greater. Whatever isn't a number or a text comes first, numbers come last.
    private static func isLess(_ left: JSON, _ right: JSON) -> Bool? {
        switch (size(of: left), size(of: right)) {
        case (let one?, let other?): return one == other ? nil : one < other
        case (nil, _?): return true
        case (_?, nil): return false
        case (nil, nil): break
        }
        let (one, other) = (left.string, right.string)
        guard let one, let other else {
            return one == nil && other == nil ? nil : one == nil
        }
        return one == other ? nil : one.precedesInUTF8(other)
    }

    private static func size(of value: JSON) -> Double? {
        if let number = value.number { return number }
        guard let text = value.string, let first = text.utf8.first,
            first == UInt8(ascii: "-") || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(first)
        else { return nil }
        return Double(text).flatMap { $0.isFinite ? $0 : nil }
    }
}

// MARK: Stored form

extension TraitHistory {
    /// `{"claims":[{"value":"pro","rule":"first","sourceId":"…","first":[ms,"id"],"last":[ms,"id"]}],"removed":[ms,"id"]}`
    package var json: JSON {
        var members: [String: JSON] = [
            "claims": .array(
                claims.map { claim in
                    var members: [String: JSON] = [
                        "value": claim.value, "rule": .string(claim.rule.text),
                        "first": Self.json(claim.first),
                        "last": Self.json(claim.last),
                    ]
                    members["sourceId"] = claim.sourceID.map { .string($0.description) }
                    return .object(members)
                })
        ]
        members["removed"] = removed.map(Self.json)
        return .object(members)
    }

    package init(json: JSON, at path: String = "") throws(DecodingProblem) {
        self.init()
        let fields = try JSONFields(json, at: path)
        for element in try fields.array("claims") {
            let claim = try JSONFields(element, at: "\(path).claims")
            guard let rule = TraitRule(text: try claim.string("rule")) else {
                throw claim.problem("rule", expected: "a rule of traits")
            }
            claims.append(
                Claim(
                    value: claim["value"] ?? .null, rule: rule, sourceID: try claim.optionalID("sourceId"),
                    first: try Self.stamp("first", of: claim), last: try Self.stamp("last", of: claim)))
        }
        if fields["removed"] != nil { removed = try Self.stamp("removed", of: fields) }
    }

    private static func json(_ stamp: Stamp) -> JSON {
        [.integer(stamp.at.milliseconds), .string(stamp.messageID)]
    }

    private static func stamp(_ name: String, of fields: JSONFields) throws(DecodingProblem) -> Stamp {
        guard let parts = fields[name]?.array, parts.count == 2, let at = parts[0].integer,
            let id = parts[1].string
        else { throw fields.problem(name, expected: "a time and a message") }
        return Stamp(at: Instant(milliseconds: at), messageID: id)
    }
}

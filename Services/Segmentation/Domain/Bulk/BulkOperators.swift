import Models

// How each kind of condition is decided from columns. What a condition is in terms of the facts is said where it is defined;
// here it is said once more, of one instant alone.

extension Count: BulkOperator {
    var paths: [PropertyPath] { events.paths + (sameValueOf.map { [$0] } ?? []) }

    func test(_ compiler: inout BulkCompiler) -> BulkTest? {
        guard let selection = compiler.selection(of: events) else { return nil }
        let from = compiler.beginning(of: window)
        guard let sameValueOf else {
            // The latest that decide are always kept, unless time picks among them.
            if events.isTimed { compiler.limit(events: RuleLimits.occurrences) }
            return .inside(compiler.place(of: .count(selection, from: from)), times)
        }
        guard let column = compiler.column(of: sameValueOf) else { return nil }
        compiler.limitGroups(of: column)
        return .inside(compiler.place(of: .most(selection, column: column, from: from)), times)
    }
}

extension Absent: BulkOperator {
    var paths: [PropertyPath] { events.paths }

    func test(_ compiler: inout BulkCompiler) -> BulkTest? {
        guard let selection = compiler.selection(of: events) else { return nil }
        if events.isTimed { compiler.limit(events: RuleLimits.occurrences) }
        let count = compiler.place(of: .count(selection, from: compiler.beginning(of: window)))
        return .inside(count, low: 0, high: 0)
    }
}

extension Unanswered: BulkOperator {
    var paths: [PropertyPath] { events.paths + answers.paths }

    /// The oldest open event decides, so one has waited long enough if the latest of those that began early enough is open.
    func test(_ compiler: inout BulkCompiler) -> BulkTest? {
        guard let begun = compiler.selection(of: events), let answered = compiler.selection(of: answers)
        else { return nil }
        compiler.limit(events: Self.kept)
        let ripe = (compiler.instant - delay).milliseconds
        return .unanswered(
            open: compiler.place(of: .latest(begun, through: ripe)),
            answer: compiler.place(of: .latest(answered, through: .max)),
            from: compiler.beginning(of: window))
    }
}

extension Sum: BulkOperator {
    var paths: [PropertyPath] { events.paths + [property] }

    func test(_ compiler: inout BulkCompiler) -> BulkTest? {
        guard let selection = compiler.selection(of: events), let column = compiler.column(of: property)
        else { return nil }
        compiler.limit(events: RuleLimits.occurrences)
        let from = compiler.beginning(of: window)
        return .total(
            compiler.place(of: .total(selection, column: column, from: from)), BulkBounds(range))
    }
}

extension Average: BulkOperator {
    var paths: [PropertyPath] { source.events.paths + [property] }

    func test(_ compiler: inout BulkCompiler) -> BulkTest? {
        guard let selection = compiler.selection(of: source.events),
            let column = compiler.column(of: property)
        else { return nil }
        compiler.limit(events: RuleLimits.occurrences)
        let from = compiler.beginning(of: source.window)
        return .mean(
            total: compiler.place(of: .total(selection, column: column, from: from)),
            of: compiler.place(of: .amounts(selection, column: column, from: from)), BulkBounds(range))
    }
}

extension ExtremeOperator {
    var paths: [PropertyPath] { source.events.paths + [property] }

    fileprivate func test(
        _ compiler: inout BulkCompiler, _ accumulator: (Int, Int, Int64) -> BulkAccumulator
    ) -> BulkTest? {
        guard let selection = compiler.selection(of: source.events),
            let column = compiler.column(of: property)
        else { return nil }
        compiler.limit(events: RuleLimits.occurrences)
        let place = compiler.place(of: accumulator(selection, column, compiler.beginning(of: source.window)))
        let (low, high) = range.ends
        return .inside(place, low: low, high: high)
    }
}

extension Minimum: BulkOperator {
    func test(_ compiler: inout BulkCompiler) -> BulkTest? {
        test(&compiler) { .least($0, column: $1, from: $2) }
    }
}

extension Maximum: BulkOperator {
    func test(_ compiler: inout BulkCompiler) -> BulkTest? {
        test(&compiler) { .greatest($0, column: $1, from: $2) }
    }
}

extension Distinct: BulkOperator {
    var paths: [PropertyPath] { source.events.paths + [property] }

    func test(_ compiler: inout BulkCompiler) -> BulkTest? {
        guard let selection = compiler.selection(of: source.events),
            let column = compiler.column(of: property)
        else { return nil }
        if source.events.isTimed { compiler.limitGroups(of: column) }
        let from = compiler.beginning(of: source.window)
        return .inside(compiler.place(of: .distinct(selection, column: column, from: from)), times)
    }
}

extension FirstTime: BulkOperator {
    var paths: [PropertyPath] { events.paths }

    func test(_ compiler: inout BulkCompiler) -> BulkTest? {
        guard let selection = compiler.selection(of: events) else { return nil }
        let (low, high) = test.ends(at: compiler.instant)
        return .inside(compiler.place(of: .earliest(selection)), low: low, high: high)
    }
}

extension LastTime: BulkOperator {
    var paths: [PropertyPath] { events.paths }

    func test(_ compiler: inout BulkCompiler) -> BulkTest? {
        guard let selection = compiler.selection(of: events) else { return nil }
        let (low, high) = test.ends(at: compiler.instant)
        return .inside(compiler.place(of: .latest(selection, through: .max)), low: low, high: high)
    }
}

extension Ratio: BulkOperator {
    var paths: [PropertyPath] { events.paths + base.paths }

    func test(_ compiler: inout BulkCompiler) -> BulkTest? {
        guard let counted = compiler.selection(of: events), let others = compiler.selection(of: base) else {
            return nil
        }
        // One event may be both.
        compiler.limit(events: RuleLimits.occurrences / 2)
        let from = compiler.beginning(of: window)
        return .ratio(
            compiler.place(of: .count(counted, from: from)),
            to: compiler.place(of: .count(others, from: from)),
            least: Int64(least), BulkBounds(range))
    }
}

extension EventSequence: BulkOperator {
    var paths: [PropertyPath] { selectors.flatMap(\.paths) }

    func test(_ compiler: inout BulkCompiler) -> BulkTest? {
        var selections: [Int] = []
        for selector in selectors {
            guard let selection = compiler.selection(of: selector) else { return nil }
            selections.append(selection)
        }
        let sequence = BulkSequence(
            self, selections: selections, from: compiler.beginning(of: window), at: compiler.instant)
        return .inside(compiler.place(of: .sequence(sequence)), low: 1, high: 1)
    }
}

extension BulkCompiler {
    /// Notes that the engine keeps every group of every event, up to its limit.
    fileprivate mutating func limitGroups(of column: Int) {
        limit(events: RuleLimits.occurrences / max(1, columns.values[column].dictionary.mostGroups))
    }
}

extension BulkTest {
    fileprivate static func inside(_ place: Int, _ times: Times) -> BulkTest {
        .inside(place, low: Int64(times.least), high: times.most.map { Int64($0) } ?? .max)
    }
}

extension AmountRange {
    /// The least and the greatest value in millionths that pass; never the two ends of `Int64`, which mean no value.
    fileprivate var ends: (low: Int64, high: Int64) {
        let bound = Amount.bound
        return switch self {
        case .atLeast(let low): (low.millionths, bound)
        case .atMost(let high): (-bound, high.millionths)
        case .greaterThan(let low): (low.millionths + 1, bound)
        case .lessThan(let high): (-bound, high.millionths - 1)
        case .exactly(let value): (value.millionths, value.millionths)
        case .between(let low, let high): (low.millionths, high.millionths)
        }
    }
}

extension TimeTest {
    /// The first and the last time of an event of which it is true at an instant, in milliseconds; never the two ends of
    /// `Int64`, which mean no event.
    fileprivate func ends(at now: Instant) -> (low: Int64, high: Int64) {
        let earliest = Int64.min + 1
        switch self {
        case .inside(.ever): return (earliest, now.milliseconds)
        case .inside(let window): return (window.beginning(at: now).milliseconds, now.milliseconds)
        case .before(let start): return (earliest, start.instant.milliseconds - 1)
        case .ago(let low, let high):
            // At t + high it ceases to be true.
            let first = high.map { (now - $0).milliseconds + 1 } ?? earliest
            return (first, (now - (low ?? .zero)).milliseconds)
        case .days(let times, let zone):
            let today = zone.day(of: now)
            let first = times.most.map { zone.start(ofDay: today - Int64($0)).milliseconds } ?? earliest
            // With no midnight between, the event itself is the beginning.
            let last =
                times.least == 0
                ? now.milliseconds : zone.start(ofDay: today - Int64(times.least) + 1).milliseconds - 1
            return (first, last)
        }
    }
}

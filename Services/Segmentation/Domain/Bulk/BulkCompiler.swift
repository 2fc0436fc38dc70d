import Models

/// Turns conditions into what a `BulkProgram` runs. What is asked for twice is there once.
struct BulkCompiler {
    let columns: EventColumns
    let instant: Instant
    private(set) var accumulators: [BulkAccumulator] = []
    private(set) var nodes: [BulkNode] = []
    /// At first so many that a block takes little memory.
    private(set) var eventLimit = 100_000

    private var accumulatorPlaces: [BulkAccumulator: Int] = [:]
    private var nodePlaces: [BulkNode: Int] = [:]
    /// Selections as they are asked for: by the names that count, or by a filter of another.
    private var asked: [Asked] = []
    private var askedPlaces: [Asked: Int] = [:]

    private enum Asked: Hashable {
        /// The names' numbers with a 1.
        case names(ContiguousArray<UInt8>)
        case filtered(Int, PropertyFilter, column: Int)
    }

    init(_ columns: EventColumns, at instant: Instant) {
        self.columns = columns
        self.instant = instant
    }

    /// The node of a condition; nil if something in it cannot be decided from columns.
    mutating func node(for condition: Condition) -> Int? {
        // Near the ends of time the engine's arithmetic stops at them; here it need not.
        let margin = Duration.days(20_000)
        guard instant > .distantPast + margin, instant < .distantFuture - margin, isKnown(condition) else {
            return nil
        }
        return compiled(condition)
    }

    /// Whether there is a way to compile it, so that nothing is done for a rule in vain.
    private func isKnown(_ condition: Condition) -> Bool {
        switch condition.kind {
        case .leaf(let leaf):
            guard let leaf = leaf as? any BulkOperator else { return false }
            return leaf.paths.allSatisfy { columns.paths[$0] != nil }
        case .group(let group): return group is any BulkGroup && group.conditions.allSatisfy(isKnown)
        }
    }

    private mutating func compiled(_ condition: Condition) -> Int? {
        switch condition.kind {
        case .leaf(let leaf):
            guard let test = (leaf as? any BulkOperator)?.test(&self) else { return nil }
            return add(.test(test))
        case .group(let group):
            guard let bulk = group as? any BulkGroup else { return nil }
            var parts: [Int] = []
            for part in group.conditions {
                guard let node = compiled(part) else { return nil }
                parts.append(node)
            }
            return add(.group(type(of: bulk).junction, parts))
        }
    }

    private mutating func add(_ node: BulkNode) -> Int {
        if let known = nodePlaces[node] { return known }
        nodes.append(node)
        nodePlaces[node] = nodes.count - 1
        return nodes.count - 1
    }

    // MARK: What conditions ask for

    /// The place of an accumulator.
    mutating func place(of accumulator: BulkAccumulator) -> Int {
        if let known = accumulatorPlaces[accumulator] { return known }
        accumulators.append(accumulator)
        accumulatorPlaces[accumulator] = accumulators.count - 1
        return accumulators.count - 1
    }

    /// The column of a path; there is one for each path of a `BulkOperator`.
    func column(of path: PropertyPath) -> Int? { columns.paths[path] }

    /// The first instant that is in a window, in milliseconds.
    func beginning(of window: Window) -> Int64 {
        window == .ever ? .min : window.beginning(at: instant).milliseconds
    }

    /// Notes that the engine keeps so many events for a condition at most.
    mutating func limit(events: Int) { eventLimit = min(eventLimit, events) }

    /// The events that a selector means at the instant.
    mutating func selection(of selector: EventSelector) -> Int? {
        let isMeant = columns.allNames.map { each -> UInt8 in
            guard each.kind == selector.kind else { return 0 }
            guard let names = selector.names else { return 1 }
            guard let name = each.name?.text else { return 0 }
            return names.contains(name) ? 1 : 0
        }
        var place = place(of: .names(ContiguousArray(isMeant)))
        for filter in selector.filters {
            guard let column = column(of: filter.path) else { return nil }
            place = self.place(of: .filtered(place, filter, column: column))
        }
        return place
    }

    private mutating func place(of selection: Asked) -> Int {
        if let known = askedPlaces[selection] { return known }
        asked.append(selection)
        askedPlaces[selection] = asked.count - 1
        return asked.count - 1
    }

    /// The selections, and onto which heap the events of each name go: names that are asked for together always share one.
    func selections() -> (ContiguousArray<UInt32>, Int, [BulkSelection]) {
        let masks = asked.compactMap { if case .names(let names) = $0 { names } else { nil } }
        var heaps: [[UInt8]: UInt32] = [:]
        var heapOfName: ContiguousArray<UInt32> = []
        for name in columns.allNames.indices {
            let users = masks.map { $0[name] }
            let heap = heaps[users] ?? UInt32(heaps.count)
            heaps[users] = heap
            heapOfName.append(heap)
        }
        let selections = asked.map { asked -> BulkSelection in
            switch asked {
            case .names(let names):
                let used = Set(zip(names, heapOfName).filter { $0.0 == 1 }.map(\.1))
                // The one after all others is always empty.
                return used.count < 2 ? .heap(used.first.map { Int($0) } ?? heaps.count) : .names(names)
            case .filtered(let base, let filter, let column):
                let values = columns.values[column].dictionary.values
                let passing = values.map { filter.holds(for: $0, at: instant) ? UInt8(1) : 0 }
                return .filtered(base, column: column, ContiguousArray(passing))
            }
        }
        return (heapOfName, heaps.count + 1, selections)
    }
}

extension PropertyFilter {
    /// The path whose values it looks at.
    var path: PropertyPath {
        switch self {
        case .property(let path, _), .element(let path, _): path
        }
    }

    /// Whether it is true at an instant of the values that its path has led to.
    func holds(for values: [JSON], at instant: Instant) -> Bool {
        switch self {
        case .property(_, let comparison):
            comparison.isTimed
                ? comparison.spans(for: values).contains(instant) : comparison.holds(for: values)
        case .element(_, let filters):
            values.contains { element in
                guard let members = element.object else { return false }
                return isTimed
                    ? Self.spans(of: filters, in: members).contains(instant)
                    : filters.allSatisfy { $0.holds(for: members) }
            }
        }
    }
}

extension EventSelector {
    var paths: [PropertyPath] { filters.map(\.path) }
}

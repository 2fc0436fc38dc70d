package import Models

/// Rules compiled to be decided for many profiles at one instant, from columns instead of event by event.
///
/// Each kind of condition about events becomes one or two numbers per profile (how often, how much, when last) and a test
/// of them. Events are sorted out by name once for all rules; a filter is a table by the number of the value; what several
/// rules ask for is worked out once. The answer is what `SegmentDecider.refresh` says of the events up to the instant. A
/// rule with a condition that is not a `BulkOperator` is `unsupported`, and left to the engine (`BulkDecider`).
package struct BulkProgram: Sendable {
    package let columns: EventColumns
    package let instant: Instant
    /// The rules that it decides, in the order in which they were given.
    package let compiled: [String]
    /// The rules that it cannot decide.
    package let unsupported: [String]
    /// For each rule that it decides, the node that says who is in it.
    let roots: [Int]
    /// The heap that the events of each name go on.
    let heaps: ContiguousArray<UInt32>
    let heapCount: Int
    let selections: [BulkSelection]
    let accumulators: [BulkAccumulator]
    let nodes: [BulkNode]
    /// A profile with more events than this is left to the engine, of whose limits it may meet one.
    let eventLimit: Int

    /// Compiles rules for the instant.
    package init(_ definitions: [SegmentDefinition], over columns: EventColumns, at instant: Instant) {
        var compiler = BulkCompiler(columns, at: instant)
        var compiled: [String] = []
        var unsupported: [String] = []
        var roots: [Int] = []
        for definition in definitions {
            if let root = compiler.node(for: definition.rule.condition) {
                compiled.append(definition.id)
                roots.append(root)
            } else {
                unsupported.append(definition.id)
            }
        }
        self.columns = columns
        self.instant = instant
        self.compiled = compiled
        self.unsupported = unsupported
        self.roots = roots
        (heaps, heapCount, selections) = compiler.selections()
        accumulators = compiler.accumulators
        nodes = compiler.nodes
        eventLimit = compiler.eventLimit
    }

    /// Decides the profiles of a range. Ranges have nothing to do with each other, so threads may share them out.
    package func decide(_ profiles: Range<Int>) -> BulkAnswer {
        let run = BulkRun(self)
        return run.decide(profiles)
    }

    /// The property paths that rules ask for.
    package static func paths(of definitions: [SegmentDefinition]) -> [PropertyPath] {
        var paths: [PropertyPath] = []
        for leaf in definitions.flatMap(\.rule.leaves) {
            guard let leaf = leaf as? any BulkOperator else { continue }
            for path in leaf.paths where !paths.contains(path) { paths.append(path) }
        }
        return paths
    }
}

/// Who is in which segment, of a range of profiles.
package struct BulkAnswer: Sendable {
    /// For each compiled rule its members in ascending order.
    package internal(set) var members: [[UInt32]]
    /// The profiles that are in none of the lists because the engine must decide them.
    package internal(set) var undecided: [Int] = []
}

/// A condition that can be decided from columns.
protocol BulkOperator: LeafOperator {
    /// The property paths that it asks for.
    var paths: [PropertyPath] { get }
    /// Its test, after what the test needs has been asked of the compiler; nil if this one cannot be compiled.
    func test(_ compiler: inout BulkCompiler) -> BulkTest?
}

/// A group that can be decided from columns.
protocol BulkGroup: GroupOperator {
    static var junction: BulkNode.Junction { get }
}

extension AllOf: BulkGroup {
    static let junction = BulkNode.Junction.all
}
extension AnyOf: BulkGroup {
    static let junction = BulkNode.Junction.any
}
extension Not: BulkGroup {
    static let junction = BulkNode.Junction.not
}
extension RFM: BulkGroup {
    static let junction = BulkNode.Junction.all
}

/// A truth that is worked out for each profile.
enum BulkNode: Hashable, Sendable {
    enum Junction: Hashable, Sendable { case all, any, not }

    case test(BulkTest)
    /// Of nodes before it.
    case group(Junction, [Int])
}

/// Some of the events, in the order of the columns.
enum BulkSelection: Sendable {
    /// All on a heap.
    case heap(Int)
    /// Those whose names' numbers have a 1.
    case names(ContiguousArray<UInt8>)
    /// Those of another selection where the number of the value has a 1.
    case filtered(Int, column: Int, ContiguousArray<UInt8>)
}

/// A number that is worked out for each profile from a selection; `from` is the first instant that counts.
enum BulkAccumulator: Hashable, Sendable {
    case count(Int, from: Int64)
    /// What the amounts of a column add up to.
    case total(Int, column: Int, from: Int64)
    /// How many amounts there are.
    case amounts(Int, column: Int, from: Int64)
    /// `Int64.max` if there are none.
    case least(Int, column: Int, from: Int64)
    /// `Int64.min` if there are none.
    case greatest(Int, column: Int, from: Int64)
    /// The first instant, `Int64.max` if there is none.
    case earliest(Int)
    /// The last instant up to one, `Int64.min` if there is none.
    case latest(Int, through: Int64)
    /// How many groups of values there are.
    case distinct(Int, column: Int, from: Int64)
    /// How many events the group with the most has.
    case most(Int, column: Int, from: Int64)
    /// 1 if the sequence has happened.
    case sequence(BulkSequence)
}

package import Models

/// An event that a condition has seen, with as much of it as the condition needs.
package struct Occurrence: Hashable, Comparable, Sendable {
    package var at: Instant
    package var messageID: String
    /// What few conditions need, apart, so that the events of the others take little room.
    private var rest: Rest?
    private var millionths: Int64
    /// The offset with the shard before it; offsets begin with 1, so 0 is none.
    private var located: UInt64
    private var place: Int32

    private static let noAmount = Int64.min
    private static let noNumber = Int32.min

    private final class Rest: Hashable, Sendable {
        let group: String?
        let spans: Spans?

        init(group: String?, spans: Spans?) {
            self.group = group
            self.spans = spans
        }

        static func == (left: Rest, right: Rest) -> Bool {
            left.group == right.group && left.spans == right.spans
        }

        func hash(into hasher: inout Hasher) {
            hasher.combine(group)
            hasher.combine(spans)
        }
    }

    /// The amount that a sum adds.
    package var amount: Amount? {
        get { millionths == Self.noAmount ? nil : Amount(millionths: millionths) }
        set { millionths = newValue.map { max($0.millionths, Self.noAmount + 1) } ?? Self.noAmount }
    }
    /// The value by which a count keeps events apart.
    package var group: String? { rest?.group }
    /// When it is one of the events meant, if the filters compare with the present; nil for always.
    package var spans: Spans? { rest?.spans }
    /// Which of several events it is, for a condition about several; or of how many values `amount` is the sum.
    package var number: Int? { place == Self.noNumber ? nil : Int(place) }

    /// Where the event stands in the timeline; nil where that is not known.
    package var position: TimelinePosition? {
        guard located != 0, let shard = Shard(number: located >> Self.offsetBits) else { return nil }
        return TimelinePosition(shard: shard, offset: Int64(located & (1 << Self.offsetBits - 1)))
    }

    private static let offsetBits: UInt64 = 56

    private static func located(_ position: TimelinePosition?) -> UInt64 {
        guard let position, position.offset > 0, position.offset < 1 << offsetBits else { return 0 }
        return UInt64(position.shard.number) << offsetBits | UInt64(position.offset)
    }

    /// Of an event, with as much of it as a condition needs.
    init(
        _ event: TrackingEvent, at instant: Instant, amount: Amount? = nil, group: String? = nil,
        spans: Spans? = nil, number: Int? = nil
    ) {
        self.init(
            at: instant, messageID: event.messageID, position: event.position, amount: amount, group: group,
            spans: spans, number: number)
    }

    /// The event of another, and nothing else of it.
    init(of other: Occurrence, number: Int? = nil) {
        self.init(at: other.at, messageID: other.messageID, position: other.position, number: number)
    }

    package init(
        at: Instant, messageID: String, position: TimelinePosition? = nil, amount: Amount? = nil,
        group: String? = nil, spans: Spans? = nil, number: Int? = nil
    ) {
        self.at = at
        self.messageID = messageID
        located = Self.located(position)
        millionths = amount.map { max($0.millionths, Self.noAmount + 1) } ?? Self.noAmount
        place = number.map { max(Int32(clamping: $0), Self.noNumber + 1) } ?? Self.noNumber
        let spans = spans.flatMap { $0.isAlways ? nil : $0 }
        rest = group == nil && spans == nil ? nil : Rest(group: group, spans: spans)
    }

    /// By time, then by message, number and group, so that the same event is always the same place in a list.
    package static func < (left: Occurrence, right: Occurrence) -> Bool {
        if left.at != right.at { return left.at < right.at }
        if left.messageID != right.messageID { return left.messageID.precedesInUTF8(right.messageID) }
        if left.number != right.number { return (left.number ?? 0) < (right.number ?? 0) }
        return (left.group ?? "").precedesInUTF8(right.group ?? "")
    }

    func isSameEvent(as other: Occurrence) -> Bool {
        at == other.at && messageID == other.messageID && number == other.number && group == other.group
    }
}

/// What one condition remembers of one profile: exactly what its answers at the decided instant and later need.
package struct Memory: Hashable, Sendable {
    /// Events in ascending order, without duplicates.
    package var occurrences: [Occurrence] = []
    private var rest: Rest?

    /// Of nothing.
    static let empty = Memory()

    package init() {}

    private struct Content: Hashable {
        var answer: Occurrence?
        var trait: EffectiveTraits.Entry?
        var source: TimelinePosition?
        var tally: Tally?
        var cut: Occurrence?

        var isEmpty: Bool { answer == nil && trait == nil && tally == nil && cut == nil }
    }

    private final class Rest: Hashable, Sendable {
        let content: Content

        init(_ content: Content) { self.content = content }

        static func == (left: Rest, right: Rest) -> Bool { left.content == right.content }

        func hash(into hasher: inout Hasher) { hasher.combine(content) }
    }

    private mutating func set<Value>(_ path: WritableKeyPath<Content, Value>, to value: Value) {
        var content = rest?.content ?? Content()
        content[keyPath: path] = value
        if content.trait == nil { content.source = nil }
        rest = content.isEmpty ? nil : Rest(content)
    }

    /// The latest event of the other kind, for a condition about two kinds.
    package var answer: Occurrence? {
        get { rest?.content.answer }
        set { set(\.answer, to: newValue) }
    }
    /// The value of a trait.
    package var trait: EffectiveTraits.Entry? {
        get { rest?.content.trait }
        set { set(\.trait, to: newValue) }
    }
    /// Where the event that the trait's value comes from stands in the timeline.
    package var source: TimelinePosition? {
        get { rest?.content.source }
        set { set(\.source, to: newValue) }
    }
    /// Earlier events that are remembered together.
    package var tally: Tally? {
        get { rest?.content.tally }
        set { set(\.tally, to: newValue) }
    }
    /// The latest event that was forgotten because all conditions together remembered too many: neither it nor any before
    /// it is known.
    package var cut: Occurrence? {
        get { rest?.content.cut }
        set { set(\.cut, to: newValue) }
    }
    /// The event that the trait's value comes from.
    var told: Occurrence? {
        trait.map { Occurrence(at: $0.stamp.at, messageID: $0.stamp.messageID, position: source) }
    }

    package var isEmpty: Bool { occurrences.isEmpty && rest == nil }

    /// Puts an event in its place; false if it is there already.
    mutating func insert(_ occurrence: Occurrence) -> Bool {
        if hasTallied(occurrence) { return false }
        var low = 0
        var high = occurrences.count
        while low < high {
            let middle = (low + high) / 2
            if occurrences[middle] < occurrence { low = middle + 1 } else { high = middle }
        }
        if low < occurrences.count, occurrences[low].isSameEvent(as: occurrence) { return false }
        occurrences.insert(occurrence, at: low)
        return true
    }

    /// Forgets the events that are outside the window at `instant` and therefore ever after.
    mutating func forget(before instant: Instant, window: Window) {
        guard window.moves else { return }
        let kept = window.firstIndex(of: occurrences, at: instant)
        if kept > 0 { occurrences.removeFirst(kept) }
    }

    /// The events in the window at an instant; those alone that are meant then, if that changes with time.
    func inside(_ window: Window, at instant: Instant, isTimed: Bool = false) -> ArraySlice<Occurrence> {
        let inside = occurrences[window.firstIndex(of: occurrences, at: instant)...]
        guard isTimed else { return inside }
        return ArraySlice(inside.filter { $0.spans?.contains(instant) ?? true })
    }

    /// The next instant after this one at which `inside` changes if nothing happens.
    func nextBoundary(of window: Window, after instant: Instant, isTimed: Bool) -> Instant? {
        let inside = occurrences[window.firstIndex(of: occurrences, at: instant)...]
        var next = inside.first.map { window.end(of: $0.at) } ?? .distantFuture
        if isTimed {
            for occurrence in inside {
                guard let boundary = occurrence.spans?.nextBoundary(after: instant) else { continue }
                next = min(next, boundary)
            }
        }
        return next < .distantFuture ? next : nil
    }

    /// Keeps the latest events alone once there are more than a limit.
    mutating func keep(_ limit: Int = RuleLimits.occurrences) {
        if occurrences.count > limit { occurrences.removeFirst(occurrences.count - limit) }
    }
}

import Models

/// The deadlines of a profile's segments in due order, so that an event need not look at every segment to find those
/// that are due. It says nothing that the segments do not say: it makes no difference to equality, and is not stored.
struct Timetable: Hashable, Sendable {
    struct Entry: Comparable, Sendable {
        var at: Instant
        var id: String

        static func < (left: Entry, right: Entry) -> Bool {
            left.at != right.at ? left.at < right.at : left.id.precedesInUTF8(right.id)
        }
    }

    /// Nil while it is not known.
    private(set) var entries: [Entry]?

    static func == (left: Timetable, right: Timetable) -> Bool { true }
    func hash(into hasher: inout Hasher) {}

    mutating func forget() { entries = nil }

    mutating func rebuild(from segments: [String: SegmentState]) { entries = Self.sorted(segments) }

    static func sorted(_ segments: [String: SegmentState]) -> [Entry] {
        segments.compactMap { id, segment in segment.deadline.map { Entry(at: $0, id: id) } }.sorted()
    }

    /// A segment's deadline is another one now.
    mutating func move(_ id: String, from before: Instant?, to after: Instant?) {
        guard entries != nil else { return }
        if let before {
            let old = Entry(at: before, id: id)
            let place = place(of: old)
            if let found = entries?[safely: place], found == old { entries?.remove(at: place) }
        }
        if let after {
            let new = Entry(at: after, id: id)
            let place = place(of: new)
            entries?.insert(new, at: place)
        }
    }

    private func place(of entry: Entry) -> Int {
        guard let entries else { return 0 }
        var low = 0
        var high = entries.count
        while low < high {
            let middle = (low + high) / 2
            if entries[middle] < entry { low = middle + 1 } else { high = middle }
        }
        return low
    }
}

extension Array {
    fileprivate subscript(safely index: Int) -> Element? { indices.contains(index) ? self[index] : nil }
}

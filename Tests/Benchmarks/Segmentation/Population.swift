import Dispatch
import Foundation
import Models
import SegmentationDomain
import Synchronization

/// The segments of a file of rules: `[{"id": …, "rule": …}, …]`.
func segments(in path: String) throws -> [SegmentDefinition] {
    let json = try JSONParser.parse(try String(contentsOfFile: path, encoding: .utf8))
    return try (json.array ?? []).map {
        SegmentDefinition(
            id: $0["id"]?.string ?? "", version: 1, condition: try RuleReader.read($0["rule"] ?? .null))
    }
}

/// Row 1: from the events of a population in memory to the lists of members.
struct Population {
    /// All of the file's columns, whatever the rules will ask for.
    private let columns: EventColumns
    /// The number that the file has for each profile.
    private let numbers: [Int32]
    /// The events as they are in the file, for what cannot be decided from columns.
    private let rows: [ShopEvent]
    private let rowStarts: [Int]

    init(_ path: String) throws {
        let paths = try ["category", "sku", "total"].map { try PropertyPath(RuleField(.string($0))) }
        var builder = EventColumnsBuilder(paths: paths)
        var (numbers, rows, rowStarts) = ([Int32](), [ShopEvent](), [Int]())
        let text = try String(contentsOfFile: path, encoding: .utf8)
        for (number, line) in text.split(separator: "\n").dropFirst().enumerated() {
            guard let event = ShopEvent(line: line) else { throw BenchmarkError(text: "line \(number + 2)") }
            if numbers.last != Int32(event.profile) {
                numbers.append(Int32(event.profile))
                rowStarts.append(number)
            }
            rows.append(event)
            let values = [
                builder.number(of: event.category.map { [.string($0)] } ?? [], at: 0),
                builder.number(of: event.sku.map { [.string($0)] } ?? [], at: 1),
                builder.number(of: event.total.map { [.integer(Int64($0))] } ?? [], at: 2),
            ]
            builder.append(
                profile: numbers.count - 1, at: Instant(milliseconds: event.at), messageID: "m\(number)",
                name: builder.number(of: event.name, kind: .track), values: values)
        }
        columns = builder.build()
        (self.numbers, self.rows, self.rowStarts) = (numbers, rows, rowStarts + [rows.count])
    }

    /// The numbers of the members of each segment, in ascending order, decided by so many threads.
    func members(of segments: [SegmentDefinition], threads: Int) -> [String: [Int32]] {
        let decider = BulkDecider(segments, over: columns, at: ShopEvent.now)
        // More parts than threads, so that none has to wait for another for long.
        let parts = columns.parts(threads * 4)
        let found = Mutex<[[[Int32]]]>(Array(repeating: [], count: parts.count))
        let next = Atomic<Int>(0)
        DispatchQueue.concurrentPerform(iterations: threads) { _ in
            while case let part = next.add(1, ordering: .relaxed).oldValue, part < parts.count {
                let members = decider.members(in: parts[part], events: events(of:)).map {
                    $0.map { numbers[Int($0)] }
                }
                found.withLock { $0[part] = members }
            }
        }
        let lists = found.withLock { $0 }
        return Dictionary(
            uniqueKeysWithValues: segments.indices.map { index in
                (segments[index].id, Array(lists.map { $0[index] }.joined()))
            })
    }

    private func events(of profile: Int) -> [TrackingEvent] {
        (rowStarts[profile]..<rowStarts[profile + 1]).map { rows[$0].tracking($0) }
    }
}

import Models

/// The chains of events that a sequence finds among those that it remembers.
///
/// Of the chains that end with an event the one that began last is kept, because it stays in the window longest. It goes on
/// from the latest event of the step before that has a chain: chains that end later began no earlier, so no other can be
/// better, and where that one is too long ago, or something is in between that must not be, any earlier one is as well.
struct Chains {
    struct Link {
        let event: Occurrence
        /// When the chain began.
        let start: Instant
        /// Where the chain goes on in the links of the step before.
        let previous: Int?
        /// When it is known that what must not come in the end has not come, and if it has, the event.
        var ready: Instant
        var blocker: Occurrence?
    }

    private let sequence: EventSequence
    private let byNumber: [[Occurrence]]
    /// For each step the links in ascending order.
    private(set) var levels: [[Link]] = []
    /// When the sequence holds, if nothing more happens.
    private(set) var spans: Spans = .never

    init(_ sequence: EventSequence, _ occurrences: ArraySlice<Occurrence>) {
        self.sequence = sequence
        var byNumber = Array(repeating: [Occurrence](), count: sequence.selectors.count)
        for occurrence in occurrences where byNumber.indices.contains(occurrence.number ?? 0) {
            byNumber[occurrence.number ?? 0].append(occurrence)
        }
        self.byNumber = byNumber
        levels = [begin()]
        var unwanted = sequence.steps.count + 1
        for (index, step) in sequence.steps.enumerated() {
            guard let before = levels.last, !before.isEmpty else { return }
            levels.append(
                go(step, byNumber[index + 1], on: before, without: step.without == nil ? nil : unwanted))
            if step.without != nil { unwanted += 1 }
        }
        finish(unwanted)
    }

    /// How many steps some chain has taken.
    var reached: Int { levels.count { !$0.isEmpty } }

    private func begin() -> [Link] {
        let events = byNumber[0]
        var links: [Link] = []
        var end = 0
        for event in events {
            // Those at the same instant count.
            while end < events.count, events[end].at <= event.at { end += 1 }
            guard end >= sequence.least else { continue }
            let start = events[end - sequence.least].at
            if let time = sequence.time, start + time <= event.at { continue }
            links.append(Link(event: event, start: start, previous: nil, ready: event.at))
        }
        return links
    }

    private func go(
        _ step: EventSequence.Step, _ events: [Occurrence], on before: [Link], without unwanted: Int?
    ) -> [Link] {
        var links: [Link] = []
        var end = 0
        for event in events {
            while end < before.count, before[end].event.at < event.at { end += 1 }
            guard end > 0 else { continue }
            let latest = before[end - 1].event.at
            if let within = step.within, latest + within <= event.at { continue }
            var index = end - 1
            while index >= 0, before[index].event.at == latest {
                if unwanted == nil || isClear(unwanted, from: before[index].event, to: event) {
                    links.append(
                        Link(event: event, start: before[index].start, previous: index, ready: event.at))
                    break
                }
                index -= 1
            }
        }
        return links
    }

    /// Whether none of the unwanted is from one event to another, apart from these two.
    private func isClear(_ unwanted: Int?, from: Occurrence, to: Occurrence) -> Bool {
        guard let unwanted else { return true }
        return first(of: unwanted, from: from.at, excluding: [from, to]).map { $0.at > to.at } ?? true
    }

    /// The first of the unwanted at or after an instant that is none of these events.
    private func first(of unwanted: Int, from: Instant, excluding: [Occurrence]) -> Occurrence? {
        let events = byNumber[unwanted]
        var low = 0
        var high = events.count
        while low < high {
            let middle = (low + high) / 2
            if events[middle].at < from { low = middle + 1 } else { high = middle }
        }
        return events[low...].first { event in
            !excluding.contains { $0.at == event.at && $0.messageID == event.messageID }
        }
    }

    private mutating func finish(_ unwanted: Int) {
        guard levels.count == sequence.steps.count + 1 else { return }
        var links = levels[levels.count - 1]
        var stretches: [Range<Instant>] = []
        for index in links.indices {
            let link = links[index]
            if let end = sequence.end {
                links[index].ready = link.event.at + end.within
                let next = first(of: unwanted, from: link.event.at, excluding: [link.event])
                links[index].blocker = next.flatMap { $0.at < links[index].ready ? $0 : nil }
            }
            guard links[index].blocker == nil else { continue }
            stretches += Spans(links[index].ready, sequence.window.end(of: link.start)).stretches
        }
        levels[levels.count - 1] = links
        spans = Spans(stretches: stretches)
    }

    /// The events of the chain that shows why the sequence holds at an instant or how far it got, from which alone it is
    /// decided alike; how many, at the end, are the chain itself; and when it is complete.
    func shown(at instant: Instant) -> (events: [Occurrence], chain: Int, ready: Instant?) {
        guard let level = levels.lastIndex(where: { !$0.isEmpty }) else { return ([], 1, nil) }
        let isComplete = level == sequence.steps.count
        let holding = levels[level].last {
            isComplete && $0.blocker == nil
                && Spans($0.ready, sequence.window.end(of: $0.start)).contains(instant)
        }
        guard let link = holding ?? levels[level].last else { return ([], 1, nil) }
        var events = link.blocker.map { [$0] } ?? []
        var others: [Occurrence] = []
        var current = link
        for place in stride(from: level, through: 0, by: -1) {
            events.append(current.event)
            guard place > 0, let previous = current.previous else { break }
            current = levels[place - 1][previous]
        }
        if sequence.least > 1 {
            others = byNumber[0].filter {
                $0.at >= current.start && $0.at <= current.event.at && $0.messageID != current.event.messageID
            }
            others = others.suffix(sequence.least - 1)
        }
        // The chain itself comes last, also where others happened at the same instant: it is what is listed in any case.
        return (others + events.sorted(), events.count, isComplete && link.blocker == nil ? link.ready : nil)
    }
}

package import Models

/// That something was begun and not followed up: A, and no B after it for the length of time `for`.
/// A cart left open for an hour, looked at for a week:
/// `{"unanswered": {"event": "Product Added", "by": {"event": "Order Completed"}, "for": "1h", "within": "7d"}}`.
///
/// It holds at T if there is an A at a ≤ T − `for` with no B at or after a up to T, and, where `within` is said,
/// a > T − `within`. So it becomes true exactly `for` after the oldest open A, ends with the next B, and otherwise
/// when the latest open A leaves the window. A B at the same instant as an A answers it.
package struct Unanswered: LeafOperator {
    package static let key = "unanswered"

    package let events: EventSelector
    package let answers: EventSelector
    package let delay: Duration
    package let window: Window
    /// Beyond this many open events those in the middle are forgotten: the ends decide.
    static let kept = 1_000

    init(_ field: RuleField) throws(RuleProblem) {
        try field.allow(EventSelector.keys + Window.keys + ["by", "for"])
        events = try EventSelector(field)
        let by = try field.required("by", "the event that answers: an object with \"event\"")
        try by.allow(EventSelector.keys)
        answers = try EventSelector(by)
        guard !events.isTimed, !answers.isTimed else {
            throw field.problem("without times relative to the present; \"sequence\" takes them")
        }
        delay = try field.required("for", "how long there was no answer, such as \"1h\"").window()
        window = try Window(in: field)
        if let longest = window.longest, longest <= delay {
            throw RuleProblem(field.path.appending("within"), expected: "longer than \"for\" (\(delay.text))")
        }
    }

    package var keeps: String? {
        guard window.moves else { return nil }
        return "an exact answer needs all open events in the window, however many; of each profile beyond "
            + "\(Self.kept.grouped) those in the middle are forgotten"
    }
    package var lookback: Window { window }
    package var interest: Interest { .selectors([events, answers]) }

    package func remember(
        _ event: TrackingEvent, at instant: Instant, decided: Instant, in memory: inout Memory
    ) -> Bool {
        let occurrence = Occurrence(event, at: instant)
        var changed = false
        if answers.matches(event), memory.answer.map({ $0 < occurrence }) ?? true {
            memory.answer = occurrence
            memory.occurrences.removeAll { $0.at <= instant }
            changed = true
        }
        guard events.matches(event) else { return changed }
        if let answer = memory.answer, answer.at >= instant { return changed }
        memory.forget(before: decided, window: window)
        guard window.contains(instant, at: decided) else { return changed }
        if memory.insert(occurrence) { changed = true }
        if memory.occurrences.count > Self.kept { memory.occurrences.remove(at: Self.kept / 2) }
        return changed
    }

    package func holds(_ memory: Memory, at instant: Instant) -> Bool {
        let first = window.firstIndex(of: memory.occurrences, at: instant)
        guard first < memory.occurrences.count else { return false }
        return memory.occurrences[first].at + delay <= instant
    }

    package func nextChange(_ memory: Memory, after instant: Instant) -> Instant? {
        let first = window.firstIndex(of: memory.occurrences, at: instant)
        guard first < memory.occurrences.count else { return nil }
        let ripe = memory.occurrences[first].at + delay
        if ripe > instant { return ripe }
        guard window.moves else { return nil }
        // It goes on for as long as the next open event is ripe before the one before it leaves the window.
        var end = window.end(of: memory.occurrences[first].at)
        for occurrence in memory.occurrences[first...] where occurrence.at + delay <= end {
            end = max(end, window.end(of: occurrence.at))
        }
        return end
    }

    package func explain(_ memory: Memory, at instant: Instant) -> Explanation {
        let first = window.firstIndex(of: memory.occurrences, at: instant)
        var details: [String: JSON] = [:]
        if let answer = memory.answer { details["answer"] = answer.json }
        if first < memory.occurrences.count {
            details["openSince"] = .string(memory.occurrences[first].at.rfc3339)
        }
        return Explanation(
            condition: .object([Self.key: json]), holds: holds(memory, at: instant), text: text,
            events: Array(memory.occurrences[first...]), details: details
        )
        .with(finding(memory.occurrences[first...].first, at: instant))
    }

    private func finding(_ open: Occurrence?, at instant: Instant) -> Finding {
        guard let open else { return Finding(text: "none is unanswered") }
        let elapsed = instant - open.at
        guard elapsed < delay else { return Finding(text: "unanswered for \(elapsed.words)") }
        return Finding(
            text: "unanswered for \(elapsed.words) of \(delay.words); \((delay - elapsed).words) is missing",
            details: ["missing": .string((delay - elapsed).text)])
    }

    package var text: String {
        "did \(events.text) and then no \(answers.text) for \(delay.words)\(window.text)"
    }

    package var json: JSON {
        var members = events.members
        members["by"] = .object(answers.members)
        members["for"] = .string(delay.text)
        members.merge(window.members) { $1 }
        return .object(members)
    }
}

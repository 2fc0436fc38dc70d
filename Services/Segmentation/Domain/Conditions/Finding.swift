import Models

/// What a condition found, in words and as data: `2 of 3 times; 1 more is needed`.
struct Finding: Hashable {
    var text: String
    /// By how much it falls short, or is too much: `missing` or `excess`.
    var details: [String: JSON] = [:]
}

extension Times {
    /// How a count compares with what is asked.
    func finding(_ count: Int, _ one: String, _ several: String) -> Finding {
        func counted(_ count: Int) -> String { "\(count) \(count == 1 ? one : several)" }
        if count < least {
            let missing = least - count
            return Finding(
                text: "\(count) of \(counted(least)); \(missing) more \(missing == 1 ? "is" : "are") needed",
                details: ["missing": .integer(Int64(missing))])
        }
        if let most, count > most {
            return Finding(
                text: "\(counted(count)), \(count - most) more than \(most)",
                details: ["excess": .integer(Int64(count - most))])
        }
        return Finding(text: counted(count))
    }
}

extension AmountRange {
    /// How a total in millionths, shared out over so many, compares with what is asked.
    func finding(_ total: Int128, over count: Int = 1) -> Finding {
        let value = Amount(millionths: Int64(clamping: total / Int128(max(1, count))))
        guard !contains(total, over: count) else { return Finding(text: value.text) }
        func missing(_ low: Amount, _ words: String) -> Finding {
            let difference = Amount.distance(from: value, to: low).text
            return Finding(
                text: "\(value.text), \(words) \(low.text) is needed; \(difference) is missing",
                details: ["missing": .string(difference)])
        }
        func excess(_ high: Amount, _ words: String) -> Finding {
            let difference = Amount.distance(from: high, to: value).text
            return Finding(
                text: "\(value.text), \(words) \(high.text) is asked; \(difference) is too much",
                details: ["excess": .string(difference)])
        }
        return switch self {
        case .atLeast(let low): missing(low, "at least")
        case .greaterThan(let low): missing(low, "more than")
        case .atMost(let high): excess(high, "at most")
        case .lessThan(let high): excess(high, "less than")
        case .exactly(let wanted): value < wanted ? missing(wanted, "exactly") : excess(wanted, "exactly")
        case .between(let low, let high): value < low ? missing(low, "at least") : excess(high, "at most")
        }
    }
}

extension TimeTest {
    /// How long ago something was, and what is asked.
    func finding(_ time: Instant, at now: Instant) -> Finding {
        let elapsed = now - time
        let text = "\(elapsed.words) ago"
        if spans(of: time).contains(now) { return Finding(text: text) }
        switch self {
        case .inside(let window): return Finding(text: "\(text), not\(window.text)")
        case .before(let start): return Finding(text: "\(text), not before \(start.text)")
        case .ago(let low?, _) where elapsed < low:
            return Finding(
                text: "\(text), at least \(low.words) is asked; \((low - elapsed).words) is missing",
                details: ["missing": .string((low - elapsed).text)])
        case .ago(_, let high):
            let excess = elapsed - (high ?? .zero)
            return Finding(
                text: "\(text), less than \(high?.words ?? "") is asked; \(excess.words) is too much",
                details: ["excess": .string(excess.text)])
        case .days(let times, let zone):
            let days = Int(clamping: zone.day(of: now) - zone.day(of: time))
            return times.finding(days, "calendar day", "calendar days")
        }
    }
}

extension [JSON] {
    /// What a comparison found.
    var finding: Finding {
        if isEmpty { return Finding(text: "nothing is known") }
        let shown = prefix(5).map(\.compact).joined(separator: ", ")
        return Finding(text: "it is \(shown.prefix(200))\(count > 5 || shown.count > 200 ? "…" : "")")
    }
}

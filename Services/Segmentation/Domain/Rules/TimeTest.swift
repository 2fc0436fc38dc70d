package import Models

/// Where the time of one event lies, seen from now. What it says changes at instants that the time tells.
package enum TimeTest: Hashable, Sendable {
    /// In a window, as events are.
    case inside(Window)
    case before(Window.Start)
    /// So long ago: from t + low on, until t + high.
    case ago(low: Duration?, high: Duration?)
    /// So many midnights of a zone ago.
    case days(Times, CivilZone)

    static let keys = Window.keys + ["before", "ago", "daysAgo"]

    /// Reads the one test of a condition: `"within": "7d"`, `"since": …`, `"before": …` (as `since`),
    /// `"ago": {"atLeast": "30d"}` (or `lessThan`, `between`), `"daysAgo": {"exactly": 3, "zone": "Europe/Berlin"}`.
    init(in field: RuleField) throws(RuleProblem) {
        let (key, operand) = try field.one(of: Self.keys)
        switch key {
        case "before": self = .before(try Window.Start(operand))
        case "ago": self = try Self.ago(operand)
        case "daysAgo":
            try operand.allow(Times.keys + ["zone"])
            let longest = Int(RuleLimits.window.milliseconds / 86_400_000)
            self = .days(try Times(in: operand, upTo: longest), try operand.zone())
        default: self = .inside(try Window(in: field))
        }
    }

    private static func ago(_ field: RuleField) throws(RuleProblem) -> TimeTest {
        let keys = ["atLeast", "lessThan", "between"]
        try field.allow(keys)
        let (key, operand) = try field.one(of: keys)
        switch key {
        case "atLeast": return .ago(low: try operand.window(), high: nil)
        case "lessThan": return .ago(low: nil, high: try operand.window())
        default:
            let bounds = try operand.elements(2...2, of: "lengths of time")
            let (low, high) = (try bounds[0].window(), try bounds[1].window())
            guard low < high else { throw bounds[1].problem("longer than \(low.text)") }
            return .ago(low: low, high: high)
        }
    }

    /// When it is true of an event at `time`, from that time on.
    func spans(of time: Instant) -> Spans {
        switch self {
        case .inside(let window): return Spans(time, window.end(of: time))
        case .before(let start): return time < start.instant ? .always : .never
        case .ago(let low, let high):
            return Spans(time + (low ?? .zero), high.map { time + $0 } ?? .distantFuture)
        case .days(let times, let zone):
            let day = zone.day(of: time)
            // The day itself began before the event.
            let beginning = times.least == 0 ? time : zone.start(ofDay: day + Int64(times.least))
            return Spans(
                beginning, times.most.map { zone.start(ofDay: day + Int64($0) + 1) } ?? .distantFuture)
        }
    }

    var members: [String: JSON] {
        switch self {
        case .inside(let window): window.members
        case .before(let start): ["before": start.json]
        case .ago(let low?, let high?): ["ago": ["between": [.string(low.text), .string(high.text)]]]
        case .ago(let low?, nil): ["ago": ["atLeast": .string(low.text)]]
        case .ago(nil, let high): ["ago": ["lessThan": .string(high?.text ?? "")]]
        case .days(let times, let zone):
            ["daysAgo": .object(times.members.merging(["zone": .string(zone.name)]) { $1 })]
        }
    }

    /// Words with a space before them: ` at least 30 days ago`.
    var text: String {
        switch self {
        case .inside(let window): window.text
        case .before(let start): " before \(start.text)"
        case .ago(let low?, let high?): " between \(low.words) and \(high.words) ago"
        case .ago(let low?, nil): " at least \(low.words) ago"
        case .ago(nil, let high): " less than \(high?.words ?? "") ago"
        case .days(let times, let zone):
            " \(times.words("calendar day", "calendar days")) ago in \(zone.name)"
        }
    }
}

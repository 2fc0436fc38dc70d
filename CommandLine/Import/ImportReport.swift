import IngestionDomain
import Models

/// What became of a file: the sums that every import ends with.
struct ImportReport: Sendable, Equatable {
    struct Skipped: Sendable, Equatable {
        let reason: String
        var groups: Int
        var rows: Int
    }

    struct Problem: Sendable, Equatable {
        let line: Int
        let reason: String
    }

    var rows = 0
    var groups = 0
    var events = 0
    /// Nil where nobody has judged the events.
    var verdicts: (accepted: Int, duplicate: Int, quarantined: Int, refused: Int)?
    var skipped: [Skipped] = []
    /// The first problems, of `problemCount`.
    var problems: [Problem] = []
    var problemCount = 0

    /// More problems than this are counted, not listed.
    static let listed = 100

    static func == (left: ImportReport, right: ImportReport) -> Bool { left.text == right.text }

    init() {}

    /// The report of ingestion; nil where the answer is none.
    init?(_ json: JSON) {
        func number(_ path: String) -> Int? { json[path: path]?.integer.map { Int($0) } }
        guard let rows = number("rows.read"), let groups = number("groups"),
            let events = number("events.received"), let accepted = number("events.accepted"),
            let duplicate = number("events.duplicate"), let quarantined = number("events.quarantined"),
            let refused = number("events.refused"), let problems = number("problems")
        else { return nil }
        self.rows = rows
        self.groups = groups
        self.events = events
        verdicts = (accepted, duplicate, quarantined, refused)
        problemCount = problems
        skipped = (json["skipped"]?.array ?? []).compactMap { each in
            guard let reason = each["reason"]?.string, let groups = each["groups"]?.integer,
                let rows = each["rows"]?.integer
            else { return nil }
            return Skipped(reason: reason, groups: Int(groups), rows: Int(rows))
        }
        self.problems = (json["items"]?.array ?? []).compactMap { each in
            guard let line = each["line"]?.integer, let reason = each["reason"]?.string else { return nil }
            return Problem(line: Int(line), reason: reason)
        }
    }

    /// Adds what a batch comes to before it is sent.
    mutating func add(_ batch: ImportBatch) {
        rows += batch.counts.rows
        groups += batch.counts.groups
        events += batch.items.count
        for (reason, each) in batch.counts.skipped {
            if let index = skipped.firstIndex(where: { $0.reason == reason }) {
                skipped[index].groups += each.groups
                skipped[index].rows += each.rows
            } else {
                skipped.append(Skipped(reason: reason, groups: each.groups, rows: each.rows))
            }
        }
        problemCount += batch.refusals.count
        for refused in batch.refusals.prefix(Self.listed - problems.count) {
            problems.append(Problem(line: refused.refusal.line, reason: refused.refusal.description))
        }
    }

    /// For people.
    var text: String {
        var lines = ["rows        \(rows)", "groups      \(groups)"]
        if let verdicts {
            lines.append(
                "events      \(events)  = accepted \(verdicts.accepted) + duplicate \(verdicts.duplicate)"
                    + " + quarantined \(verdicts.quarantined) + refused by ingestion \(verdicts.refused)")
        } else {
            lines.append("events      \(events)")
        }
        for each in skipped.sorted(by: { $0.reason < $1.reason }) {
            lines.append("skipped     \(each.groups) groups, \(each.rows) rows: \(each.reason)")
        }
        lines.append("refused     \(problemCount)")
        for problem in problems { lines.append("  line \(problem.line): \(problem.reason)") }
        if problemCount > problems.count { lines.append("  … and \(problemCount - problems.count) more") }
        return lines.joined(separator: "\n")
    }
}

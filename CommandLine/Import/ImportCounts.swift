/// What became of a file: the sums that every import ends with, kept across interruptions.
struct ImportCounts: Codable, Sendable, Equatable {
    var rows = 0
    var groups = 0
    var events = 0
    var accepted = 0
    var duplicate = 0
    var refused = 0
    /// Groups and rows that the mapping skips, by reason.
    var skipped: [String: Skipped] = [:]
    /// The first refusals, by line or message id.
    var refusals: [Refusal] = []

    struct Skipped: Codable, Sendable, Equatable {
        var groups = 0
        var rows = 0
    }

    struct Refusal: Codable, Sendable, Equatable {
        let place: String
        let reason: String
    }

    /// More refusals than this are counted, not listed.
    static let listed = 100

    mutating func refuse(_ place: String, _ reason: String) {
        refused += 1
        if refusals.count < Self.listed { refusals.append(Refusal(place: place, reason: reason)) }
    }

    mutating func skip(_ reason: String, rows: Int) {
        skipped[reason, default: Skipped()].groups += 1
        skipped[reason, default: Skipped()].rows += rows
    }

    /// Adds what a later part of the file came to.
    mutating func add(_ other: ImportCounts) {
        rows += other.rows
        groups += other.groups
        events += other.events
        accepted += other.accepted
        duplicate += other.duplicate
        refused += other.refused
        for (reason, counts) in other.skipped {
            skipped[reason, default: Skipped()].groups += counts.groups
            skipped[reason, default: Skipped()].rows += counts.rows
        }
        refusals = Array((refusals + other.refusals).prefix(Self.listed))
    }

    /// The closing report.
    var report: String {
        var lines = [
            "rows        \(rows)", "groups      \(groups)",
            "events      \(events)  = accepted \(accepted) + duplicate \(duplicate) + refused by ingestion"
                + " \(max(0, events - accepted - duplicate))",
        ]
        for (reason, counts) in skipped.sorted(by: { $0.key < $1.key }) {
            lines.append("skipped     \(counts.groups) groups, \(counts.rows) rows: \(reason)")
        }
        lines.append("refused     \(refused)")
        for refusal in refusals { lines.append("  \(refusal.place): \(refusal.reason)") }
        if refused > refusals.count { lines.append("  … and \(refused - refusals.count) more") }
        return lines.joined(separator: "\n")
    }
}

import Foundation
import Models

/// What people decided about purposes, the plain way.
extension PlainOracle {
    func consent(_ payload: JSON, _ facts: [TrackingEvent], at instant: Instant) -> Bool {
        payload["is"]?.string
            == latest(payload["purpose"]?.string, facts, at: instant)?.change.state.rawValue ?? "unknown"
    }

    /// The latest decision; of those at one instant a withdrawal, of several the one with the last entry.
    private func latest(
        _ purpose: String?, _ facts: [TrackingEvent], at instant: Instant
    ) -> (at: Instant, change: ConsentChange)? {
        var latest: (at: Instant, change: ConsentChange)?
        for fact in facts where time(fact) <= instant {
            guard let change = fact.consent, change.purpose == purpose else { continue }
            guard let known = latest else {
                latest = (time(fact), change)
                continue
            }
            if known.at > time(fact) { continue }
            if known.at == time(fact) {
                if known.change.state == .withdrawn, change.state == .granted { continue }
                if known.change.state == change.state, known.change.ledgerEntry > change.ledgerEntry {
                    continue
                }
            }
            latest = (time(fact), change)
        }
        return latest
    }

    /// Whether somebody permits what a policy needs.
    func permits(_ need: JSON, _ facts: [TrackingEvent], at instant: Instant) -> Bool {
        if need["in"] != nil {
            let calls = facts.filter { $0.kind == .identify && time($0) <= instant }
            guard isIn(need, value(of: "country", calls)) else { return false }
        }
        let word = latest(need["purpose"]?.string, facts, at: instant)
        return permits(need, word?.change.state, at: word?.at, now: instant)
    }

    /// The same by a word that is known.
    func permits(_ need: JSON, _ state: ConsentChange.State?, at: Instant?, now: Instant) -> Bool {
        switch need["basis"]?.string {
        case "contract": return true
        case "legitimateInterest": return state != .withdrawn
        case "consent":
            guard state == .granted, let at else { return false }
            return Self.end(of: at, need["lasts"]?.string).map { now < $0 } ?? true
        default: return false
        }
    }

    /// By a table of what the random rules and traits name.
    func isIn(_ need: JSON, _ country: JSON?) -> Bool {
        guard let country = country?.string?.uppercased() else { return false }
        let covered = [
            "EU": ["DE", "FR"], "FR": ["FR"], "DE": ["DE"], "US": ["US", "US-CA"], "US-CA": ["US-CA"],
        ]
        return (need["in"]?.array ?? []).contains { covered[$0.string ?? ""]?.contains(country) ?? false }
    }

    private static func end(of at: Instant, _ term: String?) -> Instant? {
        switch term {
        case "PT1S": return at + .seconds(1)
        case "PT2S": return at + .seconds(2)
        case "PT36H": return at + .hours(36)
        case "P5D": return at + .days(5)
        case "P1M", "P1M1D":
            let month = calendar("UTC").date(byAdding: .month, value: 1, to: date(at)) ?? date(at)
            let end = Instant(milliseconds: Int64((month.timeIntervalSince1970 * 1_000).rounded()))
            return term == "P1M" ? end : end + .days(1)
        default: return nil
        }
    }
}

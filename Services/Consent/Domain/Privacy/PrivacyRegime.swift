package import Models

/// The law that a request is answered under, and so by when.
package enum PrivacyRegime: String, Sendable, Codable, CaseIterable {
    /// One month from receipt, and two more where the request needs it (GDPR article 12, paragraph 3).
    case gdpr
    /// 45 days from receipt, and 45 more (CCPA §1798.130, paragraph 2).
    case ccpa

    /// When a request of `receivedAt` has to be answered: at the same time of day, in UTC, of the last day.
    ///
    /// Months are those of the calendar, always counted from the receipt: what came on 31 January is due on the last day
    /// of February and, extended, on 30 April. The clock runs while identity is being verified. The law's own reckoning
    /// ends with the day, and may wait for the next working day; this is never later.
    package func due(_ receivedAt: Instant, isExtended: Bool) -> Instant {
        switch self {
        case .gdpr: receivedAt.moved(months: isExtended ? 3 : 1)
        case .ccpa: receivedAt + .hours(24 * (isExtended ? 90 : 45))
        }
    }
}

extension Instant {
    /// The same time of day, in UTC, so many calendar months later; on the month's last day where it has no such day.
    package func moved(months: Int64) -> Instant {
        let length: Int64 = 86_400_000
        let timeOfDay = (milliseconds % length + length) % length
        let date = CivilDate(daysSinceEpoch: (milliseconds - timeOfDay) / length)
        let count = date.year * 12 + date.month - 1 + months
        let (year, month) = (count / 12, count % 12 + 1)
        var day = date.day
        while day > 28 {
            if let moved = CivilDate(year: year, month: month, day: day) {
                return Instant(milliseconds: moved.daysSinceEpoch * length).moved(by: timeOfDay)
            }
            day -= 1
        }
        guard let moved = CivilDate(year: year, month: month, day: day) else { return .distantFuture }
        return Instant(milliseconds: moved.daysSinceEpoch * length).moved(by: timeOfDay)
    }
}

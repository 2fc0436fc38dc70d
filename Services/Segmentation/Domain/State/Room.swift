import Models

/// The room that one profile may take: how many events all conditions together remember of it.
///
/// Beyond the limit those conditions that remember most forget their earliest events, until the largest are as large as each
/// other; so whoever asks for little keeps all of it, however much others ask for. Which events are kept does not depend
/// on the order in which they arrived, as long as nothing left a window in the meantime.
enum Room {
    /// How many events each condition may keep of as many as it has; nil if that is all of them. Of those that share the
    /// rest the last ones keep one more.
    static func shares(of counts: [Int], in limit: Int) -> [Int]? {
        guard counts.reduce(0, +) > limit else { return nil }
        var left = limit
        let ascending = counts.enumerated().sorted { $0.element < $1.element }
        var shares = counts
        for (index, (_, count)) in ascending.enumerated() {
            let equal = left / (ascending.count - index)
            guard count > equal else {
                left -= count
                continue
            }
            // From here on all get the same, and some one more.
            let sharing = ascending[index...].map(\.offset).sorted()
            let more = left - equal * sharing.count
            for (place, offset) in sharing.enumerated() {
                shares[offset] = min(counts[offset], equal + (place >= sharing.count - more ? 1 : 0))
            }
            break
        }
        return shares
    }
}

extension Memory {
    /// Whether an event is one of those that were forgotten.
    func hasForgotten(_ event: TrackingEvent, at instant: Instant) -> Bool {
        guard let cut else { return false }
        return instant != cut.at ? instant < cut.at : !cut.messageID.precedesInUTF8(event.messageID)
    }

    /// Forgets its earliest events; of one event nothing is left where a part of it goes. Returns how many went.
    mutating func forgetAll(but share: Int) -> Int {
        var gone = occurrences.count - share
        guard gone > 0 else { return 0 }
        let last = occurrences[gone - 1]
        while gone < occurrences.count, occurrences[gone].at == last.at,
            occurrences[gone].messageID == last.messageID
        { gone += 1 }
        occurrences.removeFirst(gone)
        if cut.map({ $0 < last }) ?? true { cut = Occurrence(of: last) }
        return gone
    }

    /// Takes in an event for a condition, unless it is one of those that were forgotten; false if nothing changed.
    mutating func take(
        _ event: TrackingEvent, for condition: some LeafOperator, at instant: Instant, decided: Instant
    ) -> Bool {
        if let cut {
            // Outside the window it makes no difference any more what was forgotten.
            if !condition.lookback.contains(cut.at, at: decided) {
                self.cut = nil
            } else if hasForgotten(event, at: instant) {
                return false
            }
        }
        return condition.remember(event, at: instant, decided: decided, in: &self)
    }
}

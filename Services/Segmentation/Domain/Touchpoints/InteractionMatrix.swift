package import Models

/// What people do in each journey stage, and how often it is followed by a conversion: touchpoint by stage.
///
/// A person is in a cell if they had the touchpoint in the stage between `from` and `to`. They have converted if their
/// *first* time there was followed by the conversion within `horizon` (after it, not at the same instant); while that
/// time is not over and nothing has followed, it is open whether they do, and they count in no share.
package struct InteractionMatrix: Sendable {
    package struct Question: Sendable {
        package var conversion: EventSelector
        package var horizon: Duration
        package var from: Instant
        /// Not included.
        package var to: Instant
        package var now: Instant

        package init(
            conversion: EventSelector, horizon: Duration, from: Instant, to: Instant, now: Instant
        ) {
            self.conversion = conversion
            self.horizon = horizon
            self.from = from
            self.to = to
            self.now = now
        }
    }

    package struct Place: Hashable, Sendable {
        package var touchpoint: Touchpoint
        /// Nil for people in no stage.
        package var stage: String?

        package init(touchpoint: Touchpoint, stage: String?) {
            (self.touchpoint, self.stage) = (touchpoint, stage)
        }
    }

    package struct Cell: Hashable, Sendable {
        package var people = 0
        package var events = 0
        /// Of the people, those who have converted, and those of whom it isn't known yet.
        package var converted = 0
        package var open = 0

        /// Of how many it is known.
        package var settled: Int { people - open }

        package init() {}
    }

    /// Names are anybody's choice; beyond so many different ones the others are counted and not listed.
    package static let mostTouchpoints = 1_000

    package let question: Question
    package private(set) var cells: [Place: Cell] = [:]
    /// Events of touchpoints beyond those that are told apart.
    package private(set) var unlisted = 0
    private var known: Set<Touchpoint> = []

    package init(_ question: Question) { self.question = question }

    /// Takes in a person's whole history, in its order.
    package mutating func add(_ history: [StagedEvent]) {
        let conversions = history.filter { question.conversion.matches($0.event) }.map(\.at)
        var seen: Set<Place> = []
        for staged in history where staged.at >= question.from && staged.at < question.to {
            guard let touchpoint = Touchpoint(staged.event) else { continue }
            guard known.contains(touchpoint) || known.count < Self.mostTouchpoints else {
                unlisted += 1
                continue
            }
            known.insert(touchpoint)
            let place = Place(touchpoint: touchpoint, stage: staged.stage)
            cells[place, default: Cell()].events += 1
            guard seen.insert(place).inserted else { continue }
            cells[place, default: Cell()].people += 1
            let end = staged.at + question.horizon
            if conversions.contains(where: { $0 > staged.at && $0 <= end }) {
                cells[place, default: Cell()].converted += 1
            } else if end > question.now {
                cells[place, default: Cell()].open += 1
            }
        }
    }
}

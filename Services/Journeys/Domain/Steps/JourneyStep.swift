package import Models

/// One kind of step. A new kind is one file that conforms to this and one line in `JourneySteps`.
package protocol JourneyStep: Sendable {
    /// The key that names the kind in a definition.
    static var keyword: String { get }

    /// Reads the value under the keyword. What is wrong goes to `builder.log`; nil when no step came of it.
    init?(_ node: DefinitionNode, _ site: StepSite, _ builder: inout ProgramBuilder)

    /// Whether an instance can stand at this step.
    var waits: Bool { get }

    /// What the step asks of the world, so that the right events are kept for it.
    var questions: StepQuestions { get }

    /// Every step that may come after it.
    func targets(next: String?) -> [String]

    /// The instance arrives.
    func begin(_ moment: StepMoment) -> StepResult

    /// An event comes while the instance stands here; nil when it makes no difference.
    func notice(_ event: TrackingEvent, _ moment: StepMoment) -> StepResult?

    /// The time that the step asked to be woken at has come.
    func wake(_ moment: StepMoment) -> StepResult
}

extension JourneyStep {
    package var waits: Bool { false }
    package var questions: StepQuestions { StepQuestions() }
    package func targets(next: String?) -> [String] { next.map { [$0] } ?? [] }
    package func notice(_ event: TrackingEvent, _ moment: StepMoment) -> StepResult? { nil }
    package func wake(_ moment: StepMoment) -> StepResult { .proceed(.reached, [:]) }
}

/// The kinds of steps there are.
package enum JourneySteps {
    private static let registered: [any JourneyStep.Type] = [
        WaitStep.self,
        BranchStep.self,
        SplitStep.self,
        SendStep.self,
        GotoStep.self,
        ExitStep.self,
    ]

    package static let keywords = registered.map { $0.keyword }

    package static func type(for keyword: String) -> (any JourneyStep.Type)? {
        registered.first { $0.keyword == keyword }
    }
}

/// What a step asks of the world.
package struct StepQuestions: Sendable {
    /// Events that it waits for.
    package var awaited: [EventPattern] = []
    /// Events that may have happened since entry.
    package var happened: [EventPattern] = []
    /// Whether it reads traits.
    package var traits = false
    /// Whether it asks for segments.
    package var segments = false

    package init(
        awaited: [EventPattern] = [], happened: [EventPattern] = [], traits: Bool = false,
        segments: Bool = false
    ) {
        self.awaited = awaited
        self.happened = happened
        self.traits = traits
        self.segments = segments
    }
}

/// All that a step may look at when it decides.
package struct StepMoment {
    /// The instant that is decided about; for a timer the instant it was due, however late it is.
    package let now: Instant
    package let step: String
    package let instance: InstanceState
    package let profile: ProfileView
}

/// What a profile looks like at a moment.
package struct ProfileView: Hashable, Sendable {
    package var traits: [String: JSON]
    /// The segments that it is in.
    package var segments: Set<String>

    package init(traits: [String: JSON] = [:], segments: Set<String> = []) {
        self.traits = traits
        self.segments = segments
    }
}

/// What a step decides; the details go into the history.
package enum StepResult: Hashable, Sendable {
    /// Go on with the step that follows.
    case proceed(HistoryKind, [String: JSON])
    /// Go on with the named step; nil ends the journey.
    case jump(to: String?, HistoryKind, [String: JSON])
    /// Stand here until the instant, unless an event moves the instance on.
    case wait(until: Instant, [String: JSON])
    /// Ask for a message, then go on.
    case send(SendOrder)
    /// Leave the journey.
    case exit(reason: String)
}

/// The message that a step asks for.
package struct SendOrder: Hashable, Sendable {
    package var template: String
    package var channel: String
    package var purpose: String
    package var variables: [String: JSON]
}

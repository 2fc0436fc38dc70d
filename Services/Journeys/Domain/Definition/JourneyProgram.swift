/// The steps of a journey by name, each knowing which one follows. Branches and splits are unfolded into it;
/// an instance remembers only the name of the step where it waits.
package struct JourneyProgram: Sendable {
    package struct Placed: Sendable {
        package let name: String
        package let step: any JourneyStep
        /// The step that follows when this one doesn't lead elsewhere; nil at the end.
        package let next: String?
        package let mark: SourceMark
    }

    /// Nil when there are no steps at all.
    package let start: String?
    package let steps: [String: Placed]

    package init(start: String?, steps: [String: Placed]) {
        self.start = start
        self.steps = steps
    }
}

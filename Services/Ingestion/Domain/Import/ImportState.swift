/// Where an import stands.
package enum ImportState: String, CaseIterable, Hashable, Sendable {
    /// Its file and its mapping are being put together.
    case draft
    /// It is being taken in, or waits for its turn.
    case running
    case paused
    case done
    /// Its file cannot be read on. What was taken in before stays.
    case failed
    case cancelled

    /// What somebody may ask of it.
    package enum Action: String, CaseIterable, Sendable {
        case run, pause, resume, cancel, delete, upload, map
    }

    /// The state after an action; nil where it is not possible now. Repeating what was done changes nothing.
    package func after(_ action: Action) -> ImportState? {
        switch (action, self) {
        case (.run, .draft), (.run, .failed), (.run, .running): .running
        case (.pause, .running), (.pause, .paused): .paused
        case (.resume, .paused), (.resume, .running): .running
        case (.cancel, .draft), (.cancel, .running), (.cancel, .paused), (.cancel, .failed),
            (.cancel, .cancelled):
            .cancelled
        case (.delete, .draft), (.delete, .done), (.delete, .failed), (.delete, .cancelled): self
        case (.upload, .draft): .draft
        // A mapping that didn't fit the file can be mended.
        case (.map, .draft), (.map, .failed): .draft
        default: nil
        }
    }

    /// Whether nothing will happen to it any more.
    package var isEnded: Bool {
        switch self {
        case .done, .cancelled: true
        case .draft, .running, .paused, .failed: false
        }
    }
}

import Models

/// What the doctor found out about one thing.
struct Finding: Sendable, Equatable {
    enum Grade: String, Sendable {
        case fine
        /// Works, but somebody should look.
        case warning
        /// Something does not work.
        case problem
    }

    let grade: Grade
    let subject: String
    let finding: String
    /// How to mend it; empty when there is nothing to mend.
    var mend = ""

    static func fine(_ subject: String, _ finding: String) -> Finding {
        Finding(grade: .fine, subject: subject, finding: finding)
    }

    static func warning(_ subject: String, _ finding: String, mend: String) -> Finding {
        Finding(grade: .warning, subject: subject, finding: finding, mend: mend)
    }

    static func problem(_ subject: String, _ finding: String, mend: String) -> Finding {
        Finding(grade: .problem, subject: subject, finding: finding, mend: mend)
    }

    var text: String {
        let mark =
            switch grade {
            case .fine: "ok      "
            case .warning: "warning "
            case .problem: "PROBLEM "
            }
        return "\(mark) \(subject): \(finding)" + (mend.isEmpty ? "" : "\n           \(mend)")
    }

    var json: JSON {
        [
            "grade": .string(grade.rawValue), "subject": .string(subject), "finding": .string(finding),
            "mend": .string(mend),
        ]
    }
}

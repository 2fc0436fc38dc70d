/// How the rows of a CSV file become events: read from a file such as
/// `deploy/examples/mappings/online-retail.yaml`, which explains every part.
struct Mapping: Sendable {
    /// The mapping's name, part of every message id: sending a file again under the same name doubles nothing.
    let name: String
    let delimiter: UInt8
    let columns: [Column]
    /// The column whose value joins rows into one event; nil makes each row an event of its own.
    let groupBy: Int?
    let skips: [SkipRule]
    let events: [EventRule]
    let catalog: CatalogRule?

    /// Rows that are none of the platform's business, and why.
    struct SkipRule: Sendable {
        let reason: String
        let when: [Condition]
    }

    /// What event to make of a group of rows.
    struct EventRule: Sendable {
        let id: String
        let when: [Condition]
        /// `track` or `identify`.
        let type: String
        /// The name of a track event.
        let event: String?
        let userID: TextTemplate?
        /// Used where `userID` is empty.
        let anonymousID: TextTemplate?
        /// The column with the time it happened.
        let timestamp: Int
        /// `properties` of a track, `traits` of an identify.
        let body: [(key: String, value: Expression)]
    }

    /// What catalog item to make of the rows of one product.
    struct CatalogRule: Sendable {
        let when: [Condition]
        /// The column that identifies the product.
        let key: Int
        let members: [(key: String, value: Member)]

        enum Member: Sendable {
            case constant(JSONScalar)
            case column(Int, choose: Choice)
        }

        /// Which row's value stands for the product where they differ.
        enum Choice: String, Sendable, CaseIterable {
            case latest, first
            case mostFrequent = "most-frequent"
        }
    }
}

/// A constant written in a mapping.
enum JSONScalar: Sendable, Equatable {
    case text(String)
    case integer(Int64)
    case bool(Bool)
}

import Models

/// A simulated person: who it really is, and its habits.
struct Shopper: Sendable {
    /// A browser or a phone.
    struct Device: Sendable {
        enum Kind: String, Sendable { case laptop, phone, tablet }

        let kind: Kind
        let anonymousID: String
    }

    let number: Int
    let userID: String
    let email: String
    let firstName: String
    let lastName: String
    let devices: [Device]
    /// Agrees to marketing when first asked.
    let consents: Bool
    let favourite: String
    let visitsPerDay: Double
    let cartRate: Double
    let buyRate: Double
    /// How readily it logs in without having to.
    let loginRate: Double
    let openRate: Double
    let clickRate: Double
    let unsubscribeRate: Double

    /// The person with this number in the world of a seed.
    init(seed: UInt64, number: Int) {
        var random = SplitMix64(seed: StableHash.hash64("shopper", String(seed), String(number)))
        let firstNames = [
            "Ada", "Bea", "Cem", "Dora", "Eli", "Femi", "Gus", "Hana", "Ivo", "Jun", "Kofi", "Lena", "Mia",
            "Noor",
            "Olu", "Pia", "Quin", "Rosa", "Sven", "Tara",
        ]
        let lastNames = [
            "Adams", "Brown", "Chen", "Doyle", "Evans", "Fisher", "Green", "Hughes", "Ito", "Jones", "Khan",
            "Lopez",
            "Murphy", "Novak", "Okafor", "Patel", "Reid", "Silva", "Turner", "Ward",
        ]
        self.number = number
        firstName = random.element(of: firstNames)
        lastName = random.element(of: lastNames)
        userID = "shopper-\(seed)-\(number)"
        email =
            "\(firstName.lowercased()).\(lastName.lowercased()).\(seed).\(number)@customers.martlet.example"
        let kinds: [Device.Kind] = [[.laptop], [.phone], [.laptop, .phone], [.laptop, .phone, .tablet]][
            random.next(in: 0...3)]
        var devices: [Device] = []
        for kind in kinds { devices.append(Device(kind: kind, anonymousID: Self.uuid(&random))) }
        self.devices = devices
        consents = random.chance(0.7)
        favourite = random.element(of: SimulatedProduct.catalog).category
        visitsPerDay = 0.2 + random.unit() * 1.2
        cartRate = 0.2 + random.unit() * 0.5
        buyRate = 0.2 + random.unit() * 0.6
        loginRate = random.unit() * 0.6
        openRate = 0.2 + random.unit() * 0.7
        clickRate = 0.1 + random.unit() * 0.6
        unsubscribeRate = random.unit() * 0.06
    }

    /// A random UUID (version 4) of the simulation.
    private static func uuid(_ random: inout SplitMix64) -> String {
        func hexadecimal(_ bits: UInt64, _ digits: Int) -> String {
            let text = String(bits & (digits == 16 ? .max : (1 << UInt64(digits * 4)) - 1), radix: 16)
            return String(repeating: "0", count: digits - text.count) + text
        }
        let (high, low) = (random.next(), random.next())
        return "\(hexadecimal(high >> 32, 8))-\(hexadecimal(high >> 16, 4))-4\(hexadecimal(high, 3))-"
            + "\(hexadecimal(0x8 | (low >> 60) & 0x3, 1))\(hexadecimal(low >> 48, 3))-\(hexadecimal(low, 12))"
    }
}

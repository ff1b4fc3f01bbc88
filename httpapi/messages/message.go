package messages

// Message names one thing that a shopper may be told of a grab or a bargain.
type Message uint8

// The messages. The scopes at the end are not told by themselves: they stand for
// {scope} in others.
const (
	Granted Message = iota
	PayOverdue
	Paid
	Expired
	Cancelled
	Voided
	RefundDue
	Refunded
	Shipped
	Received
	Completed
	Waitlisted
	Entered
	Left
	TooFew
	NotDrawn
	SoldOut
	Gone
	LimitReached
	Releases
	NotOpen
	Paused
	Ended
	NotReserved
	TicketRequired
	Missed
	Processing
	NotFirst
	Bought
	Started
	Cut
	AlreadyHelped
	OwnBargain
	BargainOver
	FloorReached
	HelpsUsedUp
	AtLimit
	Checking
	ScopeListing
	ScopeSession
	ScopeMonth
	Messages
)

// says is what a message says, by language.
type says [Languages]string

// table is every word that a shopper is told of a grab or a bargain.
var table = [Messages]struct {
	name   string // for good: plans and states have it
	blanks []Blank
	text   says
}{
	Granted: {"granted", []Blank{PayWithin}, says{"You got it. Pay within {pay_within}.",
		"抢到了！请在 {pay_within}内付款。"}},
	PayOverdue: {"pay_overdue", nil, says{"You got it, but the time to pay is over.",
		"已抢到，但付款时间已过。"}},
	Paid: {"paid", nil, says{"You got it, and it is paid.", "已抢到并已付款。"}},
	Expired: {"expired", nil, says{"You got it, but did not pay in time. It went back on sale.",
		"未在规定时间内付款，商品已释放。"}},
	Cancelled: {"cancelled", nil, says{"You got it, and cancelled it since.", "您已取消该订单。"}},
	Voided: {"voided", nil, says{"You got it, but the order was taken back by the shop.",
		"订单已被商家作废。"}},
	RefundDue: {"refund_due", nil, says{"The order could not be kept. Your money is on its way back.",
		"订单未能保留，正在为您退款。"}},
	Refunded: {"refunded", nil, says{"The order could not be kept. Your money was given back.",
		"订单未能保留，已退款。"}},
	Shipped:   {"shipped", nil, says{"You got it, and it is on its way.", "已抢到，商品已发货。"}},
	Received:  {"received", nil, says{"You got it, and it has arrived.", "已抢到，商品已签收。"}},
	Completed: {"completed", nil, says{"You got it, and all is done.", "订单已完成。"}},
	Waitlisted: {"waitlisted", []Blank{Position}, says{"All taken for now. You are number {position} in line.",
		"暂时抢完了，您在候补队列第 {position} 位。"}},
	Entered: {"entered", []Blank{DrawAt}, says{"You are in the draw. Results at {draw_at}.",
		"已参与抽签，{draw_at} 公布结果。"}},
	Left: {"left", nil, says{"You gave up your place.", "您已放弃候补或抽签资格。"}},
	TooFew: {"too_few", nil, says{"Not enough came back in time for what you asked.",
		"等待时间内没有足够的数量，候补已结束。"}},
	NotDrawn: {"not_drawn", nil, says{"The draw is over, and nothing was left when your turn came.",
		"抽签已结束，很遗憾您未中签。"}},
	SoldOut: {"sold_out", nil, says{"All taken for now.", "暂时抢完了。"}},
	Gone:    {"gone", nil, says{"Sold out.", "已售罄。"}},
	LimitReached: {"limit_reached", []Blank{Count, Scope}, says{
		"You have already bought {count}, the limit for {scope}.",
		"您已购买 {count} 件，达到{scope}的限购数量。"}},
	Releases: {"releases", []Blank{Count, Scope}, says{"You have let it go {count} times, the limit for {scope}.",
		"您已放弃 {count} 次，达到{scope}的上限。"}},
	NotOpen:     {"not_open", []Blank{Start}, says{"Starts at {start}.", "{start} 开始。"}},
	Paused:      {"paused", nil, says{"Not on sale just now.", "暂停销售。"}},
	Ended:       {"ended", nil, says{"This session has ended.", "本场活动已结束。"}},
	NotReserved: {"not_reserved", nil, says{"This one is for those who reserved.", "仅限预约用户购买。"}},
	TicketRequired: {"ticket_required", nil, says{"Get a ticket for this listing first, then ask again.",
		"请先领取抢购资格，再来抢购。"}},
	Missed: {"missed", nil, says{"Sorry, you missed it this time. Better luck next time.",
		"很遗憾，这次没抢到，下次好运！"}},
	Processing: {"processing", []Blank{ResultURL}, says{"Hold on, we are checking. Ask at {result_url}.",
		"正在确认，请稍候到 {result_url} 查询。"}},
	NotFirst: {"not_first", nil, says{"You have bought something here today already. This offer is for the day's " +
		"first purchase.", "您今天已购买过，本优惠仅限当日首单。"}},
	Bought:  {"bought", nil, says{"You have bought by this bargain already.", "您已用该砍价下单。"}},
	Started: {"started", nil, says{"Your bargain has begun. Send your friends its code.", "砍价已开始，快请好友来帮砍！"}},
	Cut:     {"cut", []Blank{Amount}, says{"Thank you! You took {amount} off.", "感谢帮忙！您砍掉了 {amount}。"}},
	AlreadyHelped: {"already_helped", []Blank{Amount}, says{"You have helped already: you took {amount} off.",
		"您已帮砍过，砍掉了 {amount}。"}},
	OwnBargain: {"own_bargain", nil, says{"This is your own bargain. Ask your friends to help.",
		"这是您自己的砍价，请邀请好友帮忙。"}},
	BargainOver:  {"bargain_over", nil, says{"This bargain is over.", "本次砍价已结束。"}},
	FloorReached: {"floor_reached", nil, says{"The price is as low as it goes.", "已砍到最低价。"}},
	HelpsUsedUp: {"helps_used_up", nil, says{"You have helped as often as you may today.",
		"您今天的帮砍次数已用完。"}},
	AtLimit: {"at_limit", []Blank{Scope}, says{"You have reached the limit for {scope}.", "您已达到{scope}的限购数量。"}},
	Checking: {"checking", nil, says{"Hold on, we are checking. Ask again in a moment: it counts once.",
		"正在确认，请稍后再试，不会重复计算。"}},
	ScopeListing: {"scope_listing", nil, says{"this item", "本商品"}},
	ScopeSession: {"scope_session", nil, says{"this session", "本场"}},
	ScopeMonth:   {"scope_month", nil, says{"this month", "本月"}},
}

// String is the message's name, which plans call it by.
func (m Message) String() string { return table[m].name }

// Shop gives the shop's own words, which a sale without its own uses.
func (m Message) Shop(in Language) string { return table[m].text[in] }

// Blanks are what the message may have filled in; it need not. The slice is
// shared: read only.
func (m Message) Blanks() []Blank { return table[m].blanks }

// Named finds a message by its name.
func Named(name string) (m Message, known bool) {
	for m := range table {
		if table[m].name == name {
			return Message(m), true
		}
	}
	return 0, false
}

package decoding

// prefer mixes the distribution with a single token, P = share*[token] + (1-share)*P: the mass stays what it was if it was
// 1. A token that is no event of the build is left alone.
func (d *Distribution) prefer(token uint32, share float64) {
	if d.materialise(token) == nil {
		return
	}
	d.scaleAll(1 - share)
	candidate := d.find(token)
	candidate.Weight += share
	candidate.Wanted = true
}
